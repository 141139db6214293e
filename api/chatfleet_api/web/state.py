"""What middleware has put into the scope of a request."""

from typing import Final

from starlette.types import Scope

from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.quota import Quota

REQUEST_ID: Final = "request_id"
PRINCIPAL: Final = "principal"
QUOTA: Final = "quota"


def request_id(scope: Scope) -> str:
    """Return the id of the request, set by `RequestId`."""
    return str(scope["state"][REQUEST_ID])


def known_principal(scope: Scope) -> Principal | None:
    """Return the caller; None: it is not known, or not yet."""
    known: Principal | None = scope["state"].get(PRINCIPAL)
    return known


def quota(scope: Scope) -> Quota | None:
    """Return what is left to the caller, None when nothing limits the request."""
    known: Quota | None = scope["state"].get(QUOTA)
    return known


def set_quota(scope: Scope, left: Quota | None) -> None:
    """Show the caller what is left, with the response."""
    if left is not None:
        scope["state"][QUOTA] = left


def principal(scope: Scope) -> Principal:
    """Return the caller, set by `Identity`."""
    known: Principal = scope["state"][PRINCIPAL]
    return known
