"""An error as an HTTP answer, in the dialect of the path it was asked at."""

from math import ceil
from typing import Final, NamedTuple

import msgspec

from chatfleet_api.domain.errors import FACTS, ChatError, Code
from chatfleet_api.web.dialects.native import bodies as native_bodies
from chatfleet_api.web.dialects.native.encode import EventEncoder
from chatfleet_api.web.dialects.openai import encode as openai
from chatfleet_api.web.dialects.openai.encode import ChunkEncoder
from chatfleet_api.web.dialects.responses.encode import ResponseEncoder
from chatfleet_api.web.dialects.sse import Encoder

CLOSE: Final = (b"connection", b"close")
"""The header by which a server says that a connection takes no other request."""


class Answered(NamedTuple):
    """An HTTP answer, whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def error_response(error: ChatError, path: str, request_id: str) -> Answered:
    """Return the answer that tells a caller of `path` what went wrong.

    Where trying again helps, `Retry-After` says in whole seconds when; the vendors' SDKs also obey `x-should-retry`.
    """
    body = openai.error_body(error) if _is_vendors(path) else native_bodies.error_body(error, request_id)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-should-retry", b"true" if error.facts.retryable else b"false"),
    ]
    if error.facts.retryable:
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after or 1)))
    if error.facts.another_pod:
        headers.append(CLOSE)
    return Answered(error.facts.status, headers, body)


def error_frame(error: ChatError, path: str, request_id: str) -> bytes:
    """Return the event that ends a stream of `path` which was opened before there was a run."""
    encoder: Encoder = EventEncoder("", request_id)
    if path == "/v1/responses":
        encoder = ResponseEncoder()
    elif _is_vendors(path):
        encoder = ChunkEncoder(include_usage=False)
    return encoder.error_frame(error)


class _Words(msgspec.Struct):
    """What an error's body says, in either shape."""

    message: str | None = None
    code: str | None = None
    param: str | None = None
    error: "_Words | None" = None


def parse_error_response(answered: Answered) -> ChatError:
    """Return the error that an answer of `error_response` carries; somebody else's, in the way, is an internal one."""
    try:
        words = msgspec.json.decode(answered.body, type=_Words)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ChatError(Code.INTERNAL, detail=f"HTTP {answered.status} without an error that can be read")
    words = words.error or words
    return ChatError(
        _code(words.code, answered.status), words.message, param=words.param, retry_after=_retry_after(answered)
    )


def _code(word: str | None, status: int) -> Code:
    known = (
        code for code, facts in FACTS.items() if facts.status == status and word in {code, openai.vendor_code(code)}
    )
    return next(known, Code.INTERNAL)


def _retry_after(answered: Answered) -> float | None:
    text = next((value for name, value in answered.headers if name == b"retry-after"), b"")
    return float(text) if text.isdigit() else None


def _is_vendors(path: str) -> bool:
    return path.startswith("/v1/") or path == "/v1"
