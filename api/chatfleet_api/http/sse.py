"""Server-sent events as upstreams send them: bytes in, payloads out. Pure.

Follows https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream, of which only `data`
matters here: both vendors repeat an event's name inside its JSON.
"""

from typing import Final

from chatfleet_api.domain.errors import ChatError, Code

MAX_EVENT_BYTES: Final = 16 << 20
"""Far above any event of a vendor, also with an image of some megabytes in it."""
LONG_EVENT_BYTES: Final = 1 << 16
"""Size from which the parts of an event are kept apart until its end: to join them each time costs their square."""

_BOM: Final = b"\xef\xbb\xbf"
_CR: Final = ord("\r")  # to look for a number costs a tenth of looking for bytes
_LF: Final = ord("\n")


class EventReader:
    """Turns the bytes of one event stream, cut anywhere, into the payloads of its events."""

    __slots__ = ("_after_cr", "_long", "_long_size", "_rest", "_started")

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._rest = b""
        self._long: list[bytes] = []
        self._long_size = 0
        self._started = False
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the payloads that they complete.

        Raises `ChatError(UPSTREAM_MALFORMED)` when an event exceeds `MAX_EVENT_BYTES`.
        """
        if _CR in data or self._after_cr:
            data = self._plain_newlines(data)
        if self._long:
            if not self._completes(data):
                return []
            data = b"".join(self._long)
            self._long.clear()
        elif self._rest or not self._started:
            data = self._from_start(self._rest + data)
        events = data.split(b"\n\n")
        self._rest = events.pop()
        if len(self._rest) > LONG_EVENT_BYTES:
            self._long, self._rest, self._long_size = [self._rest], b"", 0
            self._bound(self._long[0])
        return [payload for event in events if (payload := _payload(event)) is not None]

    def _completes(self, data: bytes) -> bool:
        """Keep the next part of a long event; return whether it has the event's end."""
        if not data:
            return False
        last = self._long[-1][-1:]
        self._long.append(data)
        self._bound(data)
        return b"\n\n" in data or (last == b"\n" and data.startswith(b"\n"))

    def _bound(self, data: bytes) -> None:
        self._long_size += len(data)
        if self._long_size > MAX_EVENT_BYTES:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail=f"an event exceeds {MAX_EVENT_BYTES} bytes")

    def _plain_newlines(self, data: bytes) -> bytes:
        """Return `data` with one newline for each CR, LF or CRLF, also for a CRLF that was cut in two."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _from_start(self, data: bytes) -> bytes:
        """Return `data` without the byte order mark that may open a stream."""
        if self._started:
            return data
        self._started = len(data) >= len(_BOM)
        return data.removeprefix(_BOM)


def _payload(event: bytes) -> bytes | None:
    """Return the joined `data` lines of `event`; None when it has none, such as a comment."""
    if event.startswith(b"data: ") and _LF not in event:
        return event[6:]
    values = [
        line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:") or line == b"data"
    ]
    return b"\n".join(values) if values else None
