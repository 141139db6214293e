"""From the headers of a request to its `Principal`, or to a refusal that does not disclose what was nearly right."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.key_limits import LimitsOfKeys
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import ANONYMOUS, Principal
from chatfleet_api.identity.api_keys import APIKey
from chatfleet_api.identity.credential import credential
from chatfleet_api.identity.key_files import KeyFiles
from chatfleet_api.identity.tokens import Tokens, looks_signed
from chatfleet_api.identity.verifiers import Fetch, Verifiers
from chatfleet_contract.names import HEADER_PROBE
from chatfleet_contract.report import MAX_ACCESS_ERRORS
from chatfleet_contract.runtime import RuntimeAccess

POLL_SECONDS: Final = 1.0
"""Time between two looks at what credentials are verified by."""
PROBED: Final = ("GET", "/v1/models")
"""The one request of the operator."""
_PROBE: Final = HEADER_PROBE.encode()
_NO_CALLERS: Final = "The service accepts no callers: its ChatDeployment names none in spec.access."


class Authentication:
    """Decides for each request, with the configuration and the keys of that moment."""

    def __init__(
        self, access: Live[RuntimeAccess], keys: KeyFiles, tokens: Tokens, *, now: Callable[[], datetime]
    ) -> None:
        self._access = access
        self._keys = keys
        self._tokens = tokens
        self._now = now

    @property
    def required(self) -> bool:
        """Whether callers without a credential are refused."""
        return not self._access().anonymous

    def refresh(self) -> None:
        """Look at the files of the API keys now, and fetch the keys of issuers that are old."""
        self._keys.refresh()
        self._tokens.refresh()

    async def watch(self) -> None:
        """Follow the files and the issuers until cancelled."""
        try:
            while True:
                self.refresh()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self._tokens.close()

    def principals(self) -> Sequence[Principal]:
        """Return those whom API keys are for."""
        return self._keys.table.principals

    def keys(self) -> Sequence[APIKey]:
        """Return the API keys that are accepted."""
        return self._keys.table.keys

    def limits(self) -> LimitsOfKeys:
        """Return the limits that API keys have of their own."""
        return self._keys.table.limits

    @property
    def errors(self) -> tuple[str, ...]:
        """Keys and issuers that cannot be used, and why."""
        return (*self._tokens.errors, *self._keys.errors)[:MAX_ACCESS_ERRORS]

    def __call__(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> Principal | Awaitable[Principal]:
        """Return the caller, or what finds it; raise `ChatError(UNAUTHENTICATED)`."""
        access = self._access()
        if access.anonymous:
            return ANONYMOUS
        presented = credential(headers)
        if presented is not None:
            key = self._keys.table.find(presented)
            if key is not None and key.valid(now := self._now()):
                if key.principal.grant is not None:
                    key.principal.grant.used = now
                return key.principal
            if (access.jwt or access.service_accounts) and looks_signed(presented):
                return self._tokens.find(presented) or self._tokens.verify(presented)
        if (method, path) == PROBED and _probes(access, headers):
            return ANONYMOUS
        raise ChatError(
            Code.UNAUTHENTICATED, None if access.api_keys or access.jwt or access.service_accounts else _NO_CALLERS
        )


def open_authentication(
    access: Live[RuntimeAccess],
    fetch: Fetch,
    *,
    now: Callable[[], datetime],
    clock: Callable[[], float],
) -> Authentication:
    """Return the authentication of a pod, with the keys that its files have now."""
    pepper = secrets.token_bytes(32)
    verifiers = Verifiers(fetch, clock=clock)
    tokens = Tokens(access, verifiers, now=now, pepper=pepper)
    return Authentication(access, KeyFiles(access, now=now, pepper=pepper), tokens, now=now)


def _probes(access: RuntimeAccess, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    token = next((value for name, value in headers if name == _PROBE), None)
    if token is None or access.probe_hash is None:
        return False
    return hmac.compare_digest(hashlib.sha256(token).hexdigest(), access.probe_hash)
