"""Gives every request an id, and marks every answer: with it, with the configuration, and with the pod's last call."""

import re
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.web import extensions
from chatfleet_api.web.dialects.failures import CLOSE
from chatfleet_contract.names import HEADER_CONFIG

HEADER: Final = b"x-request-id"

_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
"""What a caller may choose as an id: it goes into headers and logs as it is."""


def request_id(scope: Scope) -> str:
    """Return the id of the request in `scope`."""
    return str(scope["state"]["request_id"])


class RequestId:
    """Keeps a caller's `X-Request-Id` if it is sane, else makes one.

    Where clients had better go elsewhere (the pod is about to end, or has nearly as much to do as it takes), an answer
    closes its connection, also one that began before: kept ones would go on leading here, and new pods stay idle.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        new_id: Callable[[], str],
        config: Callable[[], str] | None,
        elsewhere: Callable[[], bool],
    ) -> None:
        """Mark answers with the digest that `config` returns; None: whoever answers does that."""
        self._app = app
        self._new_id = new_id
        self._config = config
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        known = given.decode() if _SANE.fullmatch(given) else self._new_id()
        scope.setdefault("state", {})["request_id"] = known
        marks = [(HEADER, known.encode())]
        if self._config is not None:
            marks.append((HEADER_CONFIG.encode(), self._config().encode()))
        if self._elsewhere():
            marks.append(CLOSE)

        last = extensions.last(scope)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                message["headers"] = [*headers, *(mark for mark in marks if mark not in headers)]
            elif not message.get("more_body"):
                last(self._elsewhere())
            await send(message)

        await self._app(scope, receive, marked)
