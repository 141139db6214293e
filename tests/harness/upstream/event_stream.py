"""AWS event streams from the side of a server: frames with both checksums, made without any part of botocore. Pure."""

import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

MEDIA_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame; all values of headers are texts."""
    encoded = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    lengths = struct.pack(">II", 16 + len(encoded) + len(payload), len(encoded))
    begun = lengths + struct.pack(">I", zlib.crc32(lengths)) + encoded + payload
    return begun + struct.pack(">I", zlib.crc32(begun))


def event_frame(kind: str, payload: Mapping[str, Any] | bytes) -> bytes:
    """Return an event of this type."""
    body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, body)


def chunk_frame(event: Mapping[str, Any]) -> bytes:
    """Return an event of the model's own protocol, which InvokeModelWithResponseStream has in base64."""
    inner = b64encode(msgspec.json.encode(event)).decode()
    return event_frame("chunk", {"bytes": inner, "p": "abcdefghij"})


def exception_frame(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Return an exception of this type."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, msgspec.json.encode(payload))


def oversized() -> bytes:
    """Return the prelude of a frame of 1 GiB."""
    lengths = struct.pack(">II", 1 << 30, 0)
    return lengths + struct.pack(">I", zlib.crc32(lengths))


def _header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([_STRING]) + struct.pack(">H", len(value)) + value
