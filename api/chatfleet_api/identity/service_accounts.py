"""From the token of a ServiceAccount of this cluster to its caller."""

from functools import cached_property
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Grant, Principal
from chatfleet_api.identity.jose import (
    Claims,
    InvalidKeysError,
    InvalidTokenError,
    KeySet,
    Unverified,
    load,
    parse_keys,
    require_claims,
    verified,
)
from chatfleet_api.identity.jwt import LAST, SERVICE_ACCOUNTS, Verified
from chatfleet_api.identity.review import Review
from chatfleet_contract.runtime import RuntimeServiceAccounts
from chatfleet_contract.spec.service_accounts import ANY, AllowedServiceAccount

ALGORITHMS: Final = ("RS256", "ES256", "ES384", "ES512")
"""Those of Kubernetes."""
SERVICE_ACCOUNT: Final = "serviceaccount:"
"""Begins the subject of such callers."""
SKEW_SECONDS: Final = 10
REVIEW_SECONDS: Final = 10.0
"""For how long an answer of the API server counts."""


class _Name(msgspec.Struct, frozen=True):
    name: str


class _Bound(msgspec.Struct, frozen=True):
    """The claim `kubernetes.io` of a token."""

    namespace: str
    serviceaccount: _Name


class ServiceAccountVerifier:
    """Verifies tokens by `spec.access.serviceAccounts`: by the cluster's keys, and where it is strict by the server."""

    def __init__(self, settings: RuntimeServiceAccounts, review: Review | None) -> None:
        self.settings = settings
        self.issuer = settings.issuer
        self._review = review

    async def verify(self, token: bytes, about: Unverified, now: float) -> Verified:
        settings = self.settings
        await load()
        key = self._keys.find(about) if self._keys and about.algorithm in ALGORITHMS else None
        if key is None:
            raise InvalidTokenError("the cluster has no such key")
        claims = verified(token, key, ALGORITHMS)
        require_claims(claims, now, issuer=settings.issuer, audience=settings.audience, skew_seconds=SKEW_SECONDS)
        namespace, name = _bound(claims)
        if not any(_allows(each, namespace, name) for each in settings.allow):
            raise ChatError(Code.PERMISSION_DENIED, detail=f"ServiceAccount {namespace}/{name} is not in allow")
        end = float(min(claims["exp"], LAST)) + SKEW_SECONDS
        if self._review is not None:
            await self._review(token, settings.audience)
        until = end if self._review is None else min(end, now + REVIEW_SECONDS)
        principal = Principal(
            f"{namespace}{SERVICE_ACCOUNTS}",
            subject=f"{SERVICE_ACCOUNT}{namespace}:{name}",
            any_user=True,
            grant=Grant(),
        )
        return Verified(principal, settings.issuer, settings.audience, key.thumbprint, until, end)

    def keeps(self, known: Verified) -> bool:
        kind, _, who = (known.principal.subject or "").partition(":")
        namespace, _, name = who.partition(":")
        if kind != "serviceaccount" or (known.issuer, known.audience) != (self.issuer, self.settings.audience):
            return False
        allowed = any(_allows(each, namespace, name) for each in self.settings.allow)
        return allowed and self._keys is not None and known.key in self._keys.thumbprints

    @property
    def problem(self) -> str:
        return "" if self._review is None else self._review.problem

    def refresh(self) -> None:
        """Do nothing: the keys are in the configuration."""

    def close(self) -> None:
        """Do nothing: nothing is fetched."""

    @cached_property
    def _keys(self) -> KeySet | None:
        try:
            return parse_keys(self.settings.keys.encode())
        except InvalidKeysError:
            return None


def _bound(claims: Claims) -> tuple[str, str]:
    """Return namespace and name of a token's ServiceAccount."""
    try:
        bound = msgspec.convert(claims.get("kubernetes.io"), _Bound)
    except msgspec.ValidationError:
        raise InvalidTokenError("it is no token of a ServiceAccount") from None
    if claims.get("sub") != f"system:serviceaccount:{bound.namespace}:{bound.serviceaccount.name}":
        raise InvalidTokenError("its subject is another ServiceAccount")
    return bound.namespace, bound.serviceaccount.name


def _allows(allowed: AllowedServiceAccount, namespace: str, name: str) -> bool:
    return allowed.namespace in (ANY, namespace) and allowed.name in (ANY, name)
