"""Responses to reads that end, with the headers by which a reader goes on. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from starlette.responses import Response

from chatfleet_api.domain.events import TERMINALS, Event
from chatfleet_api.runs.log.interface import End
from chatfleet_api.web.dialects.durable_streams.encode import MessageEncoder
from chatfleet_api.web.dialects.durable_streams.request import offset_of
from chatfleet_api.web.sse import CONTENT_TYPE

JSON: Final = "application/json"


class Chunk(NamedTuple):
    """What a read has got: the events of a run behind number `after`, which reached to `end` when it began."""

    run: str
    after: int
    events: Sequence[Event]
    end: End

    @property
    def last(self) -> int:
        """Number of the last event that the reader then has."""
        return self.after + len(self.events)

    @property
    def closed(self) -> bool:
        """Whether nothing will follow."""
        return type(self.events[-1]) in TERMINALS if self.events else self.end.terminal

    @property
    def etag(self) -> str:
        return f'"{self.run}:{offset_of(self.after)}:{offset_of(self.last)}{":c" if self.closed else ""}"'

    def headers(self, cursor: str | None) -> dict[str, str]:
        """Return the position of the reader."""
        headers = _headers(self.last, closed=self.closed)
        if self.last >= self.end.last:
            headers["stream-up-to-date"] = "true"
        if cursor and not self.closed:
            headers["stream-cursor"] = cursor
        return headers


def metadata(end: End) -> Response:
    """Return the response to HEAD."""
    return Response(b"", 200, _headers(end.last, closed=end.terminal), JSON)


def chunk_response(chunk: Chunk, encoder: MessageEncoder, *, known: str | None, tagged: bool) -> Response:
    """Return the response to a catch-up read; `known` is the ETag that the reader has."""
    headers = chunk.headers(None)
    return _with_messages(chunk, encoder, headers, known=known, tagged=tagged)


def polled_response(chunk: Chunk, encoder: MessageEncoder, *, known: str | None) -> Response:
    """Return the response to a long-poll."""
    headers = chunk.headers(encoder.cursor)
    if not chunk.events:
        return Response(status_code=204, headers=headers)
    return _with_messages(chunk, encoder, headers, known=known, tagged=True)


def closing(encoder: MessageEncoder, seq: int) -> Response:
    """Return the stream of a run that has ended for a reader who has seen all of it."""
    return Response(encoder.control(seq, closed=True), 200, _headers(seq, closed=True), CONTENT_TYPE.decode())


def _with_messages(
    chunk: Chunk, encoder: MessageEncoder, headers: dict[str, str], *, known: str | None, tagged: bool
) -> Response:
    if tagged:
        headers["etag"] = chunk.etag
        if known == chunk.etag:
            return Response(status_code=304, headers=headers)
    return Response(encoder.messages(chunk.events), 200, headers, JSON)


def _headers(seq: int, *, closed: bool) -> dict[str, str]:
    headers = {
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
        "stream-next-offset": offset_of(seq),
    }
    return headers | {"stream-closed": "true"} if closed else headers
