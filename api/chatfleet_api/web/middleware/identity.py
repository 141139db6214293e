"""Who the caller is: decided once for each request, for hot routes and FastAPI's alike."""

from typing import Annotated, TypeAlias

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from chatfleet_api.domain.principal import ANONYMOUS, Principal
from chatfleet_api.web.state import PRINCIPAL, principal


class Identity:
    """Puts the `Principal` into the scope. Until identities are configured, every caller is anonymous."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["state"][PRINCIPAL] = ANONYMOUS
        await self._app(scope, receive, send)


async def _principal(request: Request) -> Principal:
    return principal(request.scope)


Caller: TypeAlias = Annotated[Principal, Depends(_principal)]
"""The caller, as a parameter of FastAPI's routes."""
