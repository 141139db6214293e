"""Who may use the admin port: decided from a verified caller and `spec.access.admin`."""

from collections.abc import Awaitable, Iterable, Sequence
from typing import Final, assert_never

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Authenticate, Principal
from chatfleet_api.identity.api_keys import API_KEY
from chatfleet_api.identity.jwt import TOKEN
from chatfleet_api.identity.service_accounts import SERVICE_ACCOUNT
from chatfleet_contract.spec.administrators import Administrator, AdministratorKind

_REFUSED: Final = "The credential is not that of an administrator; use one that spec.access.admin names."


def is_administrator(caller: Principal, named: Sequence[Administrator]) -> bool:
    """Return whether `caller` is one of those that are named."""
    return any(_is(caller, each) for each in named)


class AdminAuthentication:
    """Decides for each request of the admin port, with the configuration of that moment."""

    def __init__(self, authenticate: Authenticate, named: Live[Sequence[Administrator]]) -> None:
        self._authenticate = authenticate
        self._named = named

    def __call__(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> Principal | Awaitable[Principal]:
        """Return the administrator, or what finds it; raise `ChatError` for all others."""
        found = self._authenticate(method, path, headers)
        return self._checked(found) if isinstance(found, Principal) else self._verified(found)

    async def _verified(self, finding: Awaitable[Principal]) -> Principal:
        return self._checked(await finding)

    def _checked(self, caller: Principal) -> Principal:
        if not is_administrator(caller, self._named()):
            raise ChatError(Code.PERMISSION_DENIED, _REFUSED, detail=f"{caller.subject} is not in access.admin")
        return caller


def _is(caller: Principal, named: Administrator) -> bool:
    match named.kind:
        case AdministratorKind.API_KEY:
            return (caller.secret, caller.subject) == (named.source, f"{API_KEY}{named.name}")
        case AdministratorKind.SERVICE_ACCOUNT:
            return caller.subject == f"{SERVICE_ACCOUNT}{named.source}:{named.name}"
        case AdministratorKind.USER:
            return (caller.subject, caller.user) == (f"{TOKEN}{named.source}", named.name)
    assert_never(named.kind)
