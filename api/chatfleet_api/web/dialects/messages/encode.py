"""What a client of Anthropic's Messages API gets: the events of a message, or the message, in the vendor's format.

Formats: `anthropic` 2.14, `types/raw_message_stream_event.py` and `types/message.py`. Each frame has the name of its
event, without which the vendor's SDKs pass over it. Only a whole message has a `message_stop`.
"""

from typing import Final

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Failed, Token
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.collect import as_error
from chatfleet_api.web.dialects.messages import errors
from chatfleet_api.web.dialects.messages.events import Fields, MessageEvents
from chatfleet_api.web.sse import escape_line_separators, json_text

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'


class MessageEncoder:
    """Encodes one run as the events of a message."""

    dialect = "messages"
    opens_before_first_token = False
    heartbeat = PING

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._events = MessageEvents()
        self._open: tuple[int, str] | None = None
        self._head = b""
        """What stands before a text of the open block; empty: none is open that takes texts."""

    def encode(self, batch: Batch) -> bytes:
        """Return the events of the next batch, in one piece."""
        frames: list[bytes] = []
        for event in batch.events:
            if isinstance(event, Token) and self._head:
                frames += (self._head, json_text(event.text), b"}}\n\n")
            elif isinstance(event, Failed):
                frames.append(self.error_frame(as_error(event)))
            else:
                frames += map(_frame, self._events.take(event))
                self._note_block()
        return escape_line_separators(b"".join(frames))

    def error_frame(self, error: ChatError) -> bytes:
        """Return the event that ends a stream which is not whole."""
        return errors.error_frame(error, self._request_id)

    def _note_block(self) -> None:
        if self._events.open == self._open:
            return
        self._open = self._events.open
        self._head = b""
        if self._open is not None and self._open[1] == "text":
            stem = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,' % self._open[0]
            self._head = stem + b'"delta":{"type":"text_delta","text":'


def _frame(event: Fields) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + json_text(event) + b"\n\n"
