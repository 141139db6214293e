"""Who the caller is: decided once for each request, for hot routes and FastAPI's alike, before its body is read."""

from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from chatfleet_api.domain import log_context
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.principal import ANONYMOUS, Authenticate, Principal
from chatfleet_api.web.middleware.body_limit import refuse_unread
from chatfleet_api.web.state import PRINCIPAL
from chatfleet_contract.names import PATH_LIVE, PATH_READY, PATH_STARTUP

OPEN: Final = frozenset({PATH_LIVE, PATH_READY, PATH_STARTUP})
"""Paths that need no credential: a load balancer has none, and they disclose nothing else."""


class Identity:
    """Puts the `Principal` into the scope, or answers 401."""

    def __init__(self, app: ASGIApp, *, authenticate: Authenticate) -> None:
        self._app = app
        self._authenticate = authenticate

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Without a coroutine of its own: every stream would keep it.
        if scope["type"] == "http":
            try:
                found = self._principal(scope)
            except ChatError as error:
                return refuse_unread(error, scope, receive, send)
            if not isinstance(found, Principal):
                return self._verified(found, scope, receive, send)
            _put(scope, found)
        return self._app(scope, receive, send)

    async def _verified(self, finding: Awaitable[Principal], scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the caller: for the first request with a token, and when it has to be verified again."""
        try:
            _put(scope, await finding)
        except ChatError as error:
            await refuse_unread(error, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _principal(self, scope: Scope) -> Principal | Awaitable[Principal]:
        path = scope["path"]
        return ANONYMOUS if path in OPEN else self._authenticate(scope["method"], path, scope["headers"])


def _put(scope: Scope, caller: Principal) -> None:
    scope["state"][PRINCIPAL] = caller
    log_context.note(tenant=caller.tenant)
