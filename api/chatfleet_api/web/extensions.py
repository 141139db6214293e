"""The ASGI extensions of our server (`server/protocol.py`), looked up in a request's scope.

Another server offers none of them: then the fallbacks below make each a no-op.
"""

from collections.abc import Callable
from typing import Any, Final

from starlette.types import Scope

ABORT: Final = "chatfleet.abort"
"""Resets the connection at once, without waiting for what the client does not read."""

LAST: Final = "chatfleet.last"
"""Announces that the next piece is the last of a response, and whether the connection closes after it although the
response's head did not announce that."""

WRITE: Final = "chatfleet.write"
"""Writes a piece of the body at once, or returns False because `send` must be awaited.

Past the head of a response no wrapper of `send` has anything to do, and nearly every write needs no waiting."""

WEBSOCKET: Final = "chatfleet.websocket"
"""Present when the client requests an upgrade to WebSocket, whose headers the server has consumed."""

HEADERS_ONLY: Final = "chatfleet.headers_only"
"""Present when the client sent HEAD, which is answered as GET (`middleware/head.py`)."""


def headers_only(scope: Scope) -> bool:
    """Return whether the client gets no body."""
    return HEADERS_ONLY in scope.get("extensions", {})


def abort(scope: Scope) -> Callable[[], None]:
    """Return what resets the request's connection."""
    call: Callable[[], None] = _extension(scope, ABORT, lambda: None)
    return call


def last(scope: Scope) -> Callable[[bool], None]:
    """Return what announces the last piece; its argument: whether the connection closes after it."""
    call: Callable[[bool], None] = _extension(scope, LAST, lambda _: None)
    return call


def write_now(scope: Scope) -> Callable[[bytes], bool]:
    """Return what writes a piece of the body without a coroutine."""
    call: Callable[[bytes], bool] = _extension(scope, WRITE, lambda _: False)
    return call


def _extension(scope: Scope, name: str, fallback: Any) -> Any:  # noqa: ANN401  # each extension has its own signature
    return scope.get("extensions", {}).get(name, {}).get("call", fallback)
