"""The verifiers of a configuration, each with the keys of its issuer."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from chatfleet_api.identity.issuer_keys import IssuerKeys
from chatfleet_api.identity.jose import KeySet
from chatfleet_api.identity.jwt import JWTVerifier, Verifier
from chatfleet_api.identity.review import TokenReview
from chatfleet_api.identity.service_accounts import ServiceAccountVerifier
from chatfleet_contract.runtime import RuntimeAccess, RuntimeServiceAccounts
from chatfleet_contract.spec.jwt import JWTIssuer

Fetch: TypeAlias = Callable[[JWTIssuer], Awaitable[KeySet]]
"""Returns the keys of an issuer; raises `OSError` or `ValueError`."""


class Verifiers:
    """Makes verifiers. One whose settings did not change keeps its keys."""

    def __init__(self, fetch: Fetch, *, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._by_jwt: tuple[JWTVerifier, ...] = ()
        self._of_accounts: ServiceAccountVerifier | None = None

    def __call__(self, access: RuntimeAccess, on_change: Callable[[], None]) -> tuple[Verifier, ...]:
        """Return the verifiers of `access`, which call `on_change` when an issuer has other keys."""
        before = self._by_jwt
        self._by_jwt = tuple(
            next((each for each in before if each.settings == settings), None) or self._jwt(settings, on_change)
            for settings in access.jwt
        )
        return (*self._accounts(access.service_accounts), *self._by_jwt)

    def _accounts(self, settings: RuntimeServiceAccounts | None) -> tuple[ServiceAccountVerifier, ...]:
        if settings is None:
            return ()
        if self._of_accounts is None or self._of_accounts.settings != settings:
            review = TokenReview(settings.review) if settings.review else None
            self._of_accounts = ServiceAccountVerifier(settings, review)
        return (self._of_accounts,)

    def _jwt(self, settings: JWTIssuer, on_change: Callable[[], None]) -> JWTVerifier:
        fetch = partial(self._fetch, settings)
        keys = IssuerKeys(settings.issuer, fetch, clock=self._clock, on_change=on_change)
        return JWTVerifier(settings, keys)
