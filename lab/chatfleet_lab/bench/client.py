"""The load client: raw sockets, a few microseconds per token, so that what is measured is the server and not us.

It is not the client of `harness.clients`, which decodes every event: 4.6 µs a token, of which this takes 1.6.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from typing_extensions import override

from chatfleet_lab.bench.workload import Workload
from harness.net import LOOPBACK
from harness.upstream.prerendered import MARK, MARK_BYTES, MARKED, MODEL, microseconds

STREAM_SECONDS: Final = 30.0
"""Longest that one awaited stream may take."""
_END: Final = b"\r\n0\r\n\r\n"
"""Of a chunked body. Payloads are JSON, which never holds it."""
_TAIL_BYTES: Final = 1024
"""Enough for the last event of any dialect."""


class LoadError(RuntimeError):
    """A stream was not whole; the message says what came instead."""


@dataclass
class TokenTimes:
    """What came in all streams of one load. Times in microseconds."""

    tokens: int = 0
    delays: list[int] = field(default_factory=list)
    """Of each token, from the upstream's sending to its arrival."""
    gaps: list[int] = field(default_factory=list)
    """Between tokens of one stream as they arrived."""
    sent_gaps: list[int] = field(default_factory=list)
    """The same as the upstream sent them."""


class Connection(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self, times: TokenTimes | None, repeated_after: bytes | None = None) -> None:
        """Count every token, and note its times, in `times`; without one they are only counted.

        `repeated_after`: what follows is no token, but all of them again.
        """
        self._repeated_after = repeated_after
        self.tokens = 0
        """Of the stream so far."""
        self.begun = asyncio.Event()
        """Whether any stream's first token came."""
        self._times = times
        self._tail = b""
        self._has_all = False
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._clear()

    async def call(self, request: bytes) -> bytes:
        """Return the body of the answer to a request; it must be short, and not chunked."""
        self._clear()
        self._plain = True
        self.transport.write(request)
        async with asyncio.timeout(STREAM_SECONDS):
            await self._ended
        _, _, body = self._tail.partition(b"\r\n\r\n")
        return body

    def begin(self, request: bytes) -> None:
        """Send the request for a stream."""
        self._clear()
        self.transport.write(request)

    async def stream(self, request: bytes, workload: Workload, ending: bytes) -> int:
        """Read one stream and return the microseconds to its first token; raises `LoadError` unless it was whole."""
        self.begin(request)
        begun = microseconds()
        async with asyncio.timeout(STREAM_SECONDS):
            await self._ended
        if self.tokens != workload.tokens or ending not in self._tail:
            raise LoadError(f"{self.tokens} of {workload.tokens} tokens came, and at the end {self._tail!r}")
        return self.first - begun

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop has its own

    @override
    def data_received(self, data: bytes) -> None:
        whole = self._tail + data
        if self._repeated_after is not None:
            data = self._tokens_of(data, self._repeated_after)
        self._tail = whole if self._has_all else whole[-_TAIL_BYTES:]
        if count := data.count(MARK):
            if not self.tokens:
                self.first = microseconds()
                self.begun.set()
            self.tokens += count
        if self._times is not None:
            self._note(self._times, data, count)
        if (self._tail.endswith(_END) or (self._plain and _whole(self._tail))) and not self._ended.done():
            self._ended.set_result(None)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _tokens_of(self, data: bytes, mark: bytes) -> bytes:
        """Return the part of `data` in which tokens come for the first time."""
        if self._has_all:
            return b""
        overlap = self._tail[1 - len(mark) :]
        found = (overlap + data).find(mark)
        self._has_all = found >= 0
        return data[: max(0, found - len(overlap))] if self._has_all else data

    def _clear(self) -> None:
        if self._ended.done():
            self._ended = asyncio.get_running_loop().create_future()
        self.tokens = self.first = self._arrived = self._sent = 0
        self._tail = self._rest = b""
        self._plain = self._has_all = False

    def _note(self, times: TokenTimes, data: bytes, count: int) -> None:
        now = microseconds()
        data = self._rest + data
        last = data.rfind(MARK)
        self._rest = data[last:] if last >= 0 and len(data) - last < MARK_BYTES else b""
        times.tokens += count
        for text in MARKED.findall(data):
            sent = int(text)
            times.delays.append(now - sent)
            if self._sent:
                times.gaps.append(now - self._arrived)
                times.sent_gaps.append(sent - self._sent)
            self._arrived, self._sent = now, sent


class Api(NamedTuple):
    """How a stream is requested."""

    ending: bytes
    """What the end of a whole answer looks like."""
    request: Callable[[Connection, Workload], Awaitable[bytes]]
    """Return the request for a stream, after what must be sent before on this connection."""
    repeated_after: bytes | None = None
    """What follows this in a stream is the whole text again."""


class Endpoint(NamedTuple):
    """Where streams come from."""

    port: int
    api: Api

    async def connect(self, times: TokenTimes | None = None) -> Connection:
        """Open a connection."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(times, self.api.repeated_after), LOOPBACK, self.port
        )
        return connection

    async def stream(self, connection: Connection, workload: Workload) -> int:
        """Read one stream to its end, as `Connection.stream` does."""
        return await connection.stream(await self.api.request(connection, workload), workload, self.api.ending)


def _whole(answer: bytes) -> bool:
    """Return whether an answer that is not chunked is all there."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return length is not None and len(body) >= int(length[1])


def post(path: str, body: object, headers: str = "") -> bytes:
    """Return a request of HTTP/1.1 with a JSON body, and further lines of headers."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer none\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def completions(path: str, model: str) -> Api:
    """Return OpenAI's dialect: one request."""

    async def request(_: Connection, workload: Workload) -> bytes:
        messages = [{"role": "user", "content": workload.ask()}]
        return post(path, {"model": model, "stream": True, "messages": messages})

    return Api(b"data: [DONE]", request)


async def _to_anthropic(_: Connection, workload: Workload) -> bytes:
    messages = [{"role": "user", "content": workload.ask()}]
    body = {"model": MODEL, "max_tokens": 1_000_000, "stream": True, "messages": messages}
    return post("/v1/messages", body, "anthropic-version: 2026-10-21\r\n")


async def _response(_: Connection, workload: Workload) -> bytes:
    return post("/v1/responses", {"model": MODEL, "stream": True, "input": workload.ask()})


async def _message(connection: Connection, workload: Workload) -> bytes:
    made = await connection.call(post("/api/v1/conversations", {}))
    conversation = json.loads(made).get("id")
    if conversation is None:
        raise LoadError(f"no conversation was made: {made!r}")
    return post(f"/api/v1/conversations/{conversation}/messages", {"content": workload.ask(), "stream": True})


COMPLETIONS: Final = completions("/v1/chat/completions", MODEL)
MESSAGES: Final = Api(b"event: message_stop", _to_anthropic)
RESPONSES: Final = Api(b"event: response.completed", _response, b"event: response.output_text.done")
"""Stored, as the vendor's API does it unless it is asked not to."""
CONVERSATIONS: Final = Api(b"event: complete", _message)
"""Ours: a new conversation for each stream, and a message in it. The first of the two requests counts as load too."""
