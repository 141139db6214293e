"""Frames of AWS event streams (`application/vnd.amazon.eventstream`), each with two checksums. Pure.

https://smithy.io/2.0/aws/amazon-eventstream.html. A frame is a prelude of 12 bytes (its length, that of the headers,
their CRC-32), headers, payload, and the CRC-32 of all before. The headers of one kind of event are always the same
bytes: they are parsed once, and a later event costs a look-up.
"""

import struct
import zlib
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.http.sse import LONG_EVENT_BYTES, MAX_EVENT_BYTES
from chatfleet_api.providers.upstream_errors import clean

MEDIA_TYPE: Final = "application/vnd.amazon.eventstream"

_PRELUDE: Final = struct.Struct(">III")
_CRC: Final = struct.Struct(">I")
_LEAST: Final = _PRELUDE.size + _CRC.size
_TEXT: Final = 7
_WITH_LENGTH: Final = frozenset({6, _TEXT})
_SIZES: Final = (0, 0, 1, 2, 4, 8, 0, 0, 8, 16)
"""Bytes of a value by its type, from `true` to UUID; types 6 and 7 have a length before them."""
_MOST_KINDS: Final = 256
"""Most kinds of headers that are kept; the protocol has a dozen."""


class EventStreamFraming:
    """Turns the bytes of one event stream, cut anywhere, into payloads: `{"<type of the event>": <its JSON>}`.

    An exception has the name of its type, too. An error without type has the name `error`.
    """

    __slots__ = ("_kinds", "_long", "_missing", "_rest")

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._rest = b""
        self._long: list[bytes] = []
        """Parts of a long frame, which are joined when it is whole."""
        self._missing = 0
        """How many bytes the long frame lacks."""
        self._kinds: dict[bytes, bytes] = {}
        """From the bytes of headers to the beginning of a payload."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the payloads that they complete.

        Raises `ChatError(UPSTREAM_MALFORMED)` for a wrong checksum, or a frame of more than `MAX_EVENT_BYTES`.
        """
        if self._long:
            self._long.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = b"".join(self._long)
            self._long.clear()
        elif self._rest:
            data = self._rest + data
        payloads: list[bytes] = []
        start, size = 0, len(data)
        while size - start >= _PRELUDE.size:
            total, headers, checksum = _PRELUDE.unpack_from(data, start)
            if zlib.crc32(data[start : start + 8]) != checksum:
                raise _malformed("the checksum of a prelude is wrong")
            if not headers + _LEAST <= total <= MAX_EVENT_BYTES:
                raise _malformed(f"a frame of {total} bytes with {headers} bytes of headers")
            if size - start < total:
                self._missing = start + total - size
                break
            payloads.append(self._payload(data[start : start + total], _PRELUDE.size + headers))
            start += total
        self._rest = data[start:]
        if len(self._rest) > LONG_EVENT_BYTES:
            self._long, self._rest = [self._rest], b""
        return payloads

    def _payload(self, frame: bytes, begins: int) -> bytes:
        if zlib.crc32(frame[:-4]) != _CRC.unpack_from(frame, len(frame) - 4)[0]:
            raise _malformed("the checksum of a frame is wrong")
        headers = frame[_PRELUDE.size : begins]
        opening = self._kinds.get(headers) or self._new_kind(headers)
        return opening + (frame[begins:-4] or b"null") + b"}"

    def _new_kind(self, headers: bytes) -> bytes:
        opening = _opening(headers)
        if len(self._kinds) < _MOST_KINDS:
            self._kinds[headers] = opening
        return opening


def _opening(headers: bytes) -> bytes:
    """Return the beginning of the payload of an event with these headers."""
    try:
        values = _values(headers)
    except (LookupError, UnicodeDecodeError) as error:
        raise _malformed(f"headers cannot be parsed: {error}") from error
    kind = values.get(":message-type", "event")
    if kind == "error":
        code, message = values.get(":error-code", ""), values.get(":error-message", "")
        return b'{"error":' + msgspec.json.encode({"code": code, "message": message}) + b',"payload":'
    name = values.get(":exception-type" if kind == "exception" else ":event-type", "")
    return b"{" + msgspec.json.encode(name) + b":"


def _values(headers: bytes) -> dict[str, str]:
    """Return the headers whose values are texts; raise `LookupError` or `UnicodeDecodeError` for what is no header."""
    values: dict[str, str] = {}
    at = 0
    while at < len(headers):
        name_ends = at + 1 + headers[at]
        name, kind = headers[at + 1 : name_ends].decode(), headers[name_ends]
        begins = name_ends + 1
        if kind in _WITH_LENGTH:
            begins += 2
            at = begins + int.from_bytes(headers[begins - 2 : begins])
        else:
            at = begins + _SIZES[kind]
        if at > len(headers):
            raise LookupError(f"the value of {name} is cut")
        if kind == _TEXT:
            values[name] = headers[begins:at].decode()
    return values


def _malformed(what: str) -> ChatError:
    return ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"not an event stream: {what}"))
