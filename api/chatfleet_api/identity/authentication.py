"""From the headers of a request to its `Principal`, or to a refusal that does not disclose what was nearly right."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import ANONYMOUS, Principal
from chatfleet_api.identity.credential import credential
from chatfleet_api.identity.key_files import KeyFiles
from chatfleet_contract.names import HEADER_PROBE
from chatfleet_contract.runtime import RuntimeAccess

PROBED: Final = ("GET", "/v1/models")
"""The one request of the operator."""
_PROBE: Final = HEADER_PROBE.encode()
_NO_CALLERS: Final = "The service accepts no callers: its ChatDeployment names none in spec.access."


class Authentication:
    """Decides for each request, with the configuration and the keys of that moment."""

    def __init__(self, access: Live[RuntimeAccess], keys: KeyFiles, *, now: Callable[[], datetime]) -> None:
        self._access = access
        self._keys = keys
        self._now = now

    @property
    def required(self) -> bool:
        """Whether callers without a credential are refused."""
        return not self._access().anonymous

    def refresh(self) -> None:
        """Look at the files of the keys now."""
        self._keys.refresh()

    async def watch(self) -> None:
        """Follow the files of the keys until cancelled."""
        await self._keys.watch()

    @property
    def errors(self) -> tuple[str, ...]:
        """Keys that cannot be used, and why."""
        return self._keys.errors

    def __call__(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """Return the caller; raise `ChatError(UNAUTHENTICATED)`."""
        access = self._access()
        if access.anonymous:
            return ANONYMOUS
        presented = credential(headers)
        if presented is not None:
            key = self._keys.table.find(presented)
            if key is not None and key.valid(self._now()):
                return key.principal
        if (method, path) == PROBED and _probes(access, headers):
            return ANONYMOUS
        raise ChatError(Code.UNAUTHENTICATED, None if access.api_keys else _NO_CALLERS)


def open_authentication(access: Live[RuntimeAccess], *, now: Callable[[], datetime]) -> Authentication:
    """Return the authentication of a pod, with the keys that its files have now."""
    return Authentication(access, KeyFiles(access, now=now, pepper=secrets.token_bytes(32)), now=now)


def _probes(access: RuntimeAccess, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    token = next((value for name, value in headers if name == _PROBE), None)
    if token is None or access.probe_hash is None:
        return False
    return hmac.compare_digest(hashlib.sha256(token).hexdigest(), access.probe_hash)
