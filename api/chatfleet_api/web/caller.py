"""The caller, as a parameter of FastAPI's routes."""

from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from chatfleet_api.domain.principal import Principal
from chatfleet_api.web.state import principal


async def _principal(request: Request) -> Principal:
    return principal(request.scope)


Caller: TypeAlias = Annotated[Principal, Depends(_principal)]
"""What `Identity` has decided, as for hot routes (`Client.principal`)."""
