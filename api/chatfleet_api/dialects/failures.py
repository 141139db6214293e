"""An error as an HTTP answer, in the dialect of the path it was asked at."""

from math import ceil
from typing import Final, NamedTuple

from chatfleet_api.dialects import native_bodies, openai
from chatfleet_api.errors import ChatError, Code

CLOSE: Final = (b"connection", b"close")
"""The header by which a server says that a connection takes no other request."""

_ELSEWHERE: Final = frozenset({Code.AT_CAPACITY, Code.DRAINING})
"""What another pod may take at once. The connection is closed, as the next try on it would come to this pod again."""


class Answered(NamedTuple):
    """An HTTP answer, whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def failure(error: ChatError, path: str, request_id: str) -> Answered:
    """Return the answer that tells a caller of `path` what went wrong.

    Where trying again helps, `Retry-After` says in whole seconds when; the vendors' SDKs also obey `x-should-retry`.
    """
    vendor = path.startswith("/v1/") or path == "/v1"
    body = openai.error_body(error) if vendor else native_bodies.error_body(error, request_id)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-should-retry", b"true" if error.facts.retryable else b"false"),
    ]
    if error.facts.retryable:
        headers.append((b"retry-after", b"%d" % ceil(error.retry_after or 1)))
    if error.code in _ELSEWHERE:
        headers.append(CLOSE)
    return Answered(error.facts.status, headers, body)
