"""What middleware has put into the scope of a request."""

from typing import Final

from starlette.types import Scope

from chatfleet_api.domain.principal import Principal

REQUEST_ID: Final = "request_id"
PRINCIPAL: Final = "principal"


def request_id(scope: Scope) -> str:
    """Return the id of the request, set by `RequestId`."""
    return str(scope["state"][REQUEST_ID])


def known_principal(scope: Scope) -> Principal | None:
    """Return the caller; None: it is not known, or not yet."""
    known: Principal | None = scope["state"].get(PRINCIPAL)
    return known


def principal(scope: Scope) -> Principal:
    """Return the caller, set by `Identity`."""
    known: Principal = scope["state"][PRINCIPAL]
    return known
