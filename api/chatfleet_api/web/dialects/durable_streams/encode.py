"""The events of a run as JSON messages, and the control events between them in a stream."""

from collections.abc import Iterable
from typing import Any

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Event, Token
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.durable_streams.request import offset_of
from chatfleet_api.web.dialects.native.encode import EventEncoder
from chatfleet_api.web.sse import HEARTBEAT, escape_line_separators, json_text


class MessageEncoder:
    """Encodes one run: the messages are the events of our own dialect."""

    dialect = "durable_streams"
    heartbeat = HEARTBEAT
    opens_before_first_token = True

    def __init__(self, run: str, request_id: str, *, cursor: str, end: int) -> None:
        """Make the encoder of a run whose events reach to number `end`, and of a reader who gets `cursor` to echo."""
        self._events = EventEncoder(run, request_id)
        self.cursor = cursor
        self._end = end

    def messages(self, events: Iterable[Event]) -> bytes:
        """Return a JSON array of the events."""
        return b"[" + b",".join(map(self._message, events)) + b"]"

    def encode(self, batch: Batch) -> bytes:
        """Return a data event with the messages of the batch, and the control event behind it."""
        data = b"event: data\ndata: " + self.messages(batch.events) + b"\n\n"
        return escape_line_separators(data) + self.control(batch.last, closed=batch.terminal)

    def control(self, seq: int, *, closed: bool) -> bytes:
        """Return the control event behind event number `seq`."""
        fields: dict[str, Any] = {"streamNextOffset": offset_of(seq)}
        if closed:
            fields |= {"upToDate": True, "streamClosed": True}
        else:
            fields["streamCursor"] = self.cursor
            if seq >= self._end:
                fields["upToDate"] = True
        return b"event: control\ndata: " + json_text(fields) + b"\n\n"

    def error_frame(self, error: ChatError) -> bytes:
        """Return the error; readers of the protocol skip it, and reconnect."""
        return self._events.error_frame(error)

    def _message(self, event: Event) -> bytes:
        return json_text(event if isinstance(event, Token) else self._events.public(event))
