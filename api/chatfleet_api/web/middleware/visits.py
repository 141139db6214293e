"""Users are present while a request of theirs is in progress; nothing is done where that does not matter."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from chatfleet_api.domain.presence import Presence, visiting
from chatfleet_api.web.state import known_principal


class Visits:
    """Notes the user of a credential, and lets services note whom a request without one names."""

    def __init__(self, app: ASGIApp, *, presence: Presence | None) -> None:
        self._app = app
        self._presence = presence

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Without a coroutine of its own: every stream would keep it.
        if self._presence is None or scope["type"] != "http" or not self._presence.wanted():
            return self._app(scope, receive, send)
        return self._visited(self._presence, scope, receive, send)

    async def _visited(self, presence: Presence, scope: Scope, receive: Receive, send: Send) -> None:
        with visiting(presence) as visit:
            if (caller := known_principal(scope)) is not None:
                visit.note(caller.tenant, caller.user)
            await self._app(scope, receive, send)
