"""Refuses WebSocket with 426, the status after which clients (such as Codex on /v1/responses) go on over HTTP."""

from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.errors import send_error
from chatfleet_api.web.extensions import WEBSOCKET

_HEADERS: Final = [(b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade, close")]
"""RFC 9110 15.5.22: the response names a protocol that is served."""


class Upgrade:
    """Every other request passes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Without a coroutine of its own: every stream would keep it.
        if WEBSOCKET in scope.get("extensions", ()):
            return send_error(ChatError(Code.UPGRADE_REQUIRED), scope, send, headers=_HEADERS)
        return self._app(scope, receive, send)
