"""An error as an HTTP response, and as the end of a stream, in the dialect of the path."""

from collections.abc import Iterable
from math import ceil
from typing import Final, NamedTuple

import msgspec
from starlette.types import Scope, Send

from chatfleet_api.domain.errors import FACTS, ChatError, Code
from chatfleet_api.web.dialects import dialect_of
from chatfleet_api.web.state import request_id, set_quota

CLOSE: Final = (b"connection", b"close")
"""The header by which a server announces that a connection takes no other request."""


UNAUTHORIZED: Final = 401
"""The status that names how to authenticate (RFC 9110 15.5.2)."""


class ErrorResponse(NamedTuple):
    """An HTTP response to a request that failed."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def error_response(error: ChatError, path: str, request_id: str) -> ErrorResponse:
    """Return the response to a request for `path` that failed.

    Where trying again helps, `Retry-After` has the seconds to wait; the vendors' SDKs also obey `x-should-retry`.
    """
    errors = dialect_of(path).errors
    body = errors.body(error, request_id)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-should-retry", b"true" if error.facts.retryable else b"false"),
    ]
    if error.facts.retryable:
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after or 1)))
    if error.facts.status == UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.facts.another_pod:
        headers.append(CLOSE)  # the next try on this connection would come to this pod again
    return ErrorResponse(errors.status(error.facts.status), headers, body)


async def send_error(
    error: ChatError, scope: Scope, send: Send, *, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send the response to a request that failed, with more `headers` than its own."""
    response = error_response(error, scope["path"], request_id(scope))
    set_quota(scope, error.quota)
    await send({"type": "http.response.start", "status": response.status, "headers": [*response.headers, *headers]})
    await send({"type": "http.response.body", "body": response.body})


def error_frame(error: ChatError, path: str, request_id: str) -> bytes:
    """Return the event that ends a stream of `path` which was opened before there was a run."""
    return dialect_of(path).errors.frame(error, request_id)


def parse_error_response(response: ErrorResponse, path: str) -> ChatError:
    """Return the error that `error_response` wrote; another server's response, from in between, is an internal one."""
    errors = dialect_of(path).errors
    try:
        fields = errors.parse(response.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ChatError(Code.INTERNAL, detail=f"HTTP {response.status} without a readable error")
    with_status = (code for code, facts in FACTS.items() if errors.status(facts.status) == response.status)
    code = next((code for code in with_status if errors.dialect_code(code) == fields.code), Code.INTERNAL)
    return ChatError(code, fields.message, param=fields.param, retry_after=_retry_after(response))


def _retry_after(response: ErrorResponse) -> float | None:
    text = next((value for name, value in response.headers if name == b"retry-after"), b"")
    return float(text) if text.isdigit() else None
