"""From a token of a named issuer to its caller."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Grant, Principal, is_tenant, is_user
from chatfleet_api.identity.api_keys import ANY_USER
from chatfleet_api.identity.issuer_keys import IssuerKeys
from chatfleet_api.identity.jose import Claims, InvalidTokenError, Unverified, require_claims, verified
from chatfleet_contract.spec.jwt import JWTIssuer

SERVICE_ACCOUNTS: Final = "@serviceaccounts"
"""How the tenants of ServiceAccounts end; no issuer can name one."""
TOKEN: Final = "jwt:"  # the beginning of a subject, not a secret
"""Begins the subject of callers with a token of an issuer."""
LAST: Final = 2**40
"""A Unix time that no token lives to see."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that is valid, without the token itself."""

    principal: Principal
    issuer: str
    audience: str
    key: str
    """Thumbprint of the key that has signed it."""
    until: float
    """Unix time at which it has to be verified again."""
    expires: float
    """Unix time at which it ends."""


class Verifier(Protocol):
    """Verifies the tokens of one issuer for one audience."""

    issuer: str

    async def verify(self, token: bytes, about: Unverified, now: float) -> Verified:
        """Return the caller.

        Raises:
            InvalidTokenError: the token is not valid here.
            ChatError: it is, and may not call (`PERMISSION_DENIED`), or it cannot be known (`IDENTITY_UNAVAILABLE`).
        """
        ...

    def keeps(self, known: Verified) -> bool:
        """Return whether a token that was verified before would still be."""
        ...

    @property
    def problem(self) -> str:
        """Why tokens may not be verified; empty: they are."""
        ...

    def refresh(self) -> None:
        """Fetch what is old."""
        ...

    def close(self) -> None:
        """End what is being fetched."""
        ...


class JWTVerifier:
    """Verifies tokens by an item of `spec.access.jwt`."""

    def __init__(self, settings: JWTIssuer, keys: IssuerKeys) -> None:
        self.settings = settings
        self.issuer = settings.issuer
        self._keys = keys

    async def verify(self, token: bytes, about: Unverified, now: float) -> Verified:
        settings = self.settings
        if about.algorithm not in settings.algorithms:
            raise InvalidTokenError("the algorithm is not accepted")
        key = await self._keys.find(about)
        claims = verified(token, key, [str(each) for each in settings.algorithms])
        skew = settings.clock_skew_seconds
        require_claims(claims, now, issuer=settings.issuer, audience=settings.audience, skew_seconds=skew)
        end = float(min(claims["exp"], LAST)) + skew
        return Verified(_principal(claims, settings), settings.issuer, settings.audience, key.thumbprint, end, end)

    def keeps(self, known: Verified) -> bool:
        keys = self._keys.current
        of_this = (known.issuer, known.audience) == (self.settings.issuer, self.settings.audience)
        return of_this and (keys is None or known.key in keys.thumbprints)

    @property
    def problem(self) -> str:
        if not self._keys.problem:
            return ""
        state = "known ones are used for up to an hour" if self._keys.current else "its tokens are refused"
        return f"the keys of issuer {self.issuer} cannot be fetched, and {state}: {self._keys.problem}"

    def refresh(self) -> None:
        self._keys.refresh()

    def close(self) -> None:
        self._keys.close()


def _principal(claims: Claims, settings: JWTIssuer) -> Principal:
    """Return the caller of a valid token; raise `ChatError(PERMISSION_DENIED)` if it may not call."""
    tenant = settings.tenant if settings.tenant_claim is None else claims.get(settings.tenant_claim)
    any_user = settings.user_claim == ANY_USER
    user = None if any_user else claims.get(settings.user_claim)
    if not isinstance(tenant, str) or not is_tenant(tenant) or tenant.endswith(SERVICE_ACCOUNTS):
        raise ChatError(Code.PERMISSION_DENIED, detail=f"no usable tenant in claim {settings.tenant_claim}")
    if not any_user and not (isinstance(user, str) and is_user(user)):
        raise ChatError(Code.PERMISSION_DENIED, detail=f"no usable user in claim {settings.user_claim}")
    if not _scopes(claims).issuperset(settings.required_scopes):
        raise ChatError(Code.PERMISSION_DENIED, detail="a required scope is missing")
    return Principal(tenant, subject=f"{TOKEN}{settings.issuer}", user=user, any_user=any_user, grant=Grant())


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    """Return the scopes of a token: text with spaces (RFC 8693), or a list, in `scope` or `scp`."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name)
        listed = value.split(" ") if isinstance(value, str) else value if isinstance(value, list) else ()
        found.update(each for each in listed if isinstance(each, str))
    return frozenset(found)
