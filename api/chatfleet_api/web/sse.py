"""Server-sent events whose framing no text can forge (WHATWG HTML, section 9.2), and the interface of all encoders."""

from typing import Any, Final, Protocol

import msgspec

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.runs.tail import Batch

HEARTBEAT: Final = b": keep-alive\n"
"""A whole comment: every client skips it, every proxy sees traffic. An empty line behind it would dispatch an event
without data, at which `openai-go` up to 3.42 fails."""

RECONNECT: Final = b"retry: 1000\n: this server is shutting down; reconnect for the rest\n"
"""Ends a stream that goes on elsewhere. No event, hence no empty line: browsers take `retry` all the same, and clients
that know no `retry` are not given an event without data."""

CONTENT_TYPE: Final = b"text/event-stream; charset=utf-8"

json_text = msgspec.json.Encoder().encode
"""Encode a value as one line of JSON: control characters are escaped, so that neither CR, LF nor NUL is ever in it."""


class Encoder(Protocol):
    """Turns the events of one run into the bytes of one stream."""

    dialect: str
    """Label of its streams in metrics."""
    opens_before_first_token: bool
    """Whether the stream opens with the run's start; if not, a failure before the first token is an HTTP status."""

    @property
    def heartbeat(self) -> bytes:
        """What fills a silence."""
        ...

    def encode(self, batch: Batch) -> bytes:
        """Return the frames of the next batch, in one piece; `b""` when the client gets nothing for them."""
        ...

    def error_frame(self, error: ChatError) -> bytes:
        """Return the frame that ends a stream whose events cannot be read to their end.

        A stream without a run, hence without an encoder, ends with `ErrorFormat.frame` instead.
        """
        ...


def typed_frame(kind: str, **fields: Any) -> bytes:  # noqa: ANN401  # JSON
    """Return the frame of an event whose type is a field of its JSON."""
    return b"data: " + json_text({"type": kind, **fields}) + b"\n\n"


def escape_line_separators(frames: bytes) -> bytes:
    """Escape, within JSON, what careless clients take for the end of a line beyond ASCII: U+0085, U+2028 and U+2029."""
    if frames.isascii():
        return frames
    if b"\xe2\x80\xa8" in frames or b"\xe2\x80\xa9" in frames or b"\xc2\x85" in frames:
        return (
            frames.replace(b"\xe2\x80\xa8", b"\\u2028")
            .replace(b"\xe2\x80\xa9", b"\\u2029")
            .replace(b"\xc2\x85", b"\\u0085")
        )
    return frames
