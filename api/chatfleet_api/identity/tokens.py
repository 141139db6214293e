"""Signed tokens: verified once, then found by their keyed hash until they end."""

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final
from weakref import WeakKeyDictionary

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Grant, Principal
from chatfleet_api.identity.jose import InvalidTokenError, peek
from chatfleet_api.identity.jwt import Verified, Verifier
from chatfleet_contract.runtime import RuntimeAccess
from chatfleet_contract.spec import OnRevoke

MAX_KNOWN: Final = 4096
"""Tokens that need no verification; beyond that, the one that was verified first is forgotten."""


class Tokens:
    """The callers of tokens that were verified. A token's end is looked at with each request."""

    def __init__(
        self,
        access: Live[RuntimeAccess],
        verifiers: Callable[[RuntimeAccess, Callable[[], None]], Iterable[Verifier]],
        *,
        now: Callable[[], datetime],
        pepper: bytes,
    ) -> None:
        """`verifiers` returns those of a configuration, which call back when their keys change.

        One whose settings did not change is the same as before.
        """
        self._access = access
        self._open = verifiers
        self._now = now
        self._pepper = pepper
        self._configured: RuntimeAccess | None = None
        self._verifiers: tuple[Verifier, ...] = ()
        self._known: dict[bytes, Verified] = {}
        self._granted: WeakKeyDictionary[Grant, Verified] = WeakKeyDictionary()

    @property
    def errors(self) -> tuple[str, ...]:
        """Why tokens may not be verified."""
        return tuple(each.problem for each in self._verifiers if each.problem)

    def find(self, token: bytes) -> Principal | None:
        """Return the caller of a token that was verified before; None: it has to be verified."""
        if self._access() is not self._configured:
            self._configure()
        known = self._known.get(self._digest(token))
        return known.principal if known is not None and self._now().timestamp() < known.until else None

    async def verify(self, token: bytes) -> Principal:
        """Return the caller; raise `ChatError`: `UNAUTHENTICATED`, `PERMISSION_DENIED` or `IDENTITY_UNAVAILABLE`."""
        about = peek(token)
        refused = ChatError(Code.UNAUTHENTICATED)
        verifiers = self._verifiers
        for verifier in verifiers:
            if about is None or verifier.issuer != about.issuer:
                continue
            try:
                found = await verifier.verify(token, about, self._now().timestamp())
            except InvalidTokenError:
                continue
            except ChatError as error:
                refused = error  # another audience of the same issuer may accept it
                continue
            if verifiers is not self._verifiers:  # the configuration has changed meanwhile
                return await self.verify(token)
            return self._keep(token, found)
        raise refused

    def refresh(self) -> None:
        """Fetch keys that are old, and end the streams of tokens that are no longer valid."""
        if self._access() is not self._configured:
            self._configure()
        for verifier in self._verifiers:
            verifier.refresh()
        if self._cuts:
            now = self._now().timestamp()
            self._revoke(known for known in self._granted.values() if now >= known.expires)

    def forget(self) -> None:
        """Verify every token again, because keys or settings have changed."""
        self._known.clear()
        if self._cuts:
            self._revoke(
                known for known in self._granted.values() if not any(each.keeps(known) for each in self._verifiers)
            )

    def close(self) -> None:
        """End what is being fetched."""
        for verifier in self._verifiers:
            verifier.close()

    @property
    def _cuts(self) -> bool:
        return self._access().on_revoke == OnRevoke.CUT

    def _configure(self) -> None:
        former, self._configured = self._configured, self._access()
        if self._configured == former:
            return
        before = self._verifiers
        self._verifiers = tuple(self._open(self._configured, self.forget))
        for verifier in before:
            if not any(each is verifier for each in self._verifiers):
                verifier.close()
        self.forget()

    def _keep(self, token: bytes, verified: Verified) -> Principal:
        while len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[self._digest(token)] = verified
        if verified.principal.grant is not None:
            self._granted[verified.principal.grant] = verified
        return verified.principal

    def _digest(self, token: bytes) -> bytes:
        return hashlib.blake2b(token, key=self._pepper, digest_size=32).digest()

    def _revoke(self, ended: Iterable[Verified]) -> None:
        for known in tuple(ended):
            if known.principal.grant is not None:
                known.principal.grant.revoke()


def looks_signed(credential: bytes) -> bool:
    """Return whether a credential may be a signed token: no API key begins like one."""
    return credential.startswith(b"ey") and credential.count(b".") == 2  # noqa: PLR2004  # header.payload.signature
