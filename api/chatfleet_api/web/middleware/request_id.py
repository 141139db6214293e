"""Gives every request an id, and marks every response: with it, the configuration, the pod's end, and limits."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.domain import log_context
from chatfleet_api.web import extensions
from chatfleet_api.web.dialects import dialect_of
from chatfleet_api.web.errors import CLOSE
from chatfleet_api.web.state import REQUEST_ID, quota
from chatfleet_contract.names import HEADER_CONFIG

HEADER: Final = b"x-request-id"

_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
"""What a caller may choose as an id: it goes into headers and logs as it is."""


class RequestId:
    """Keeps a caller's `X-Request-Id` if it is sane, else makes one.

    When the pod is about to end, or near its capacity, a response closes its connection, also one that began before:
    a connection that is kept would bring the client's next request here, while new pods stay idle.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        new_id: Callable[[], str],
        config_digest: Callable[[], str] | None,
        close_connections: Callable[[], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Mark responses with `config_digest`; None: the pod behind does that."""
        self._app = app
        self._new_id = new_id
        self._config_digest = config_digest
        self._close_connections = close_connections
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        known = given.decode() if _SANE.fullmatch(given) else self._new_id()
        scope.setdefault("state", {})[REQUEST_ID] = known
        log_context.begin(known)
        marks = [(HEADER, known.encode())]
        if own := dialect_of(scope["path"]).request_id_header:
            marks.append((own, known.encode()))
        if self._config_digest is not None:
            marks.append((HEADER_CONFIG.encode(), self._config_digest().encode()))
        if self._close_connections():
            marks.append(CLOSE)

        last = extensions.last(scope)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                if (left := quota(scope)) is not None:
                    marks.extend(dialect_of(scope["path"]).quota_headers(left, self._now()))
                message["headers"] = [*headers, *(mark for mark in marks if mark not in headers)]
            elif not message.get("more_body"):
                last(self._close_connections())
            await send(message)

        await self._app(scope, receive, marked)
