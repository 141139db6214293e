"""The public keys of one issuer: fetched now and then, at an unknown key, and kept for a time while that fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.identity.jose import InvalidTokenError, KeySet, PublicKey, Unverified

REFRESH_SECONDS: Final = 300.0
"""Time between two fetches, so that a key that its issuer has withdrawn is refused."""
FLOOR_SECONDS: Final = 10.0
"""Least time between two fetches: tokens with invented keys cause no more."""
KEEP_SECONDS: Final = 3600.0
"""For how long keys are used while they cannot be fetched."""

logger = logging.getLogger(__name__)


class IssuerKeys:
    """Finds the key of a token."""

    def __init__(
        self,
        issuer: str,
        fetch: Callable[[], Awaitable[KeySet]],
        *,
        clock: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        """`fetch` raises `OSError` or `ValueError`."""
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._on_change = on_change
        self._keys: KeySet | None = None
        self._fetched = self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self.problem = ""
        """Why the last fetch failed; empty: it did not."""

    @property
    def current(self) -> KeySet | None:
        """The keys that are used now; None: there are none, or they are too old."""
        return self._keys if self._clock() - self._fetched < KEEP_SECONDS else None

    async def find(self, token: Unverified) -> PublicKey:
        """Return the key of a token, fetching the keys first if it is unknown.

        Raises:
            InvalidTokenError: the issuer has no such key.
            ChatError: the keys cannot be fetched (`IDENTITY_UNAVAILABLE`).
        """
        if (key := self._find(token)) is not None:
            return key
        self._begin()
        if self._fetching is not None:
            await asyncio.wait((self._fetching,))
        if (key := self._find(token)) is not None:
            return key
        if self.current is None or self.problem:
            raise ChatError(Code.IDENTITY_UNAVAILABLE, retry_after=FLOOR_SECONDS)
        raise InvalidTokenError("the issuer has no such key")

    def refresh(self) -> None:
        """Begin a fetch, if it is time for one."""
        if self.problem or self._clock() - self._fetched >= REFRESH_SECONDS:
            self._begin()

    def close(self) -> None:
        """End a fetch."""
        if self._fetching is not None:
            self._fetching.cancel()

    def _find(self, token: Unverified) -> PublicKey | None:
        keys = self.current
        return None if keys is None else keys.find(token)

    def _begin(self) -> None:
        now = self._clock()
        if self._fetching is None and now - self._tried >= FLOOR_SECONDS:
            self._tried = now
            self._fetching = asyncio.ensure_future(self._renew())

    async def _renew(self) -> None:
        try:
            keys = await self._fetch()
        except (OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            if reason != self.problem:
                logger.warning("The keys of issuer %s cannot be fetched: %s", self._issuer, reason)
            self.problem = reason
            return
        finally:
            self._fetching = None
        changed = self._keys is not None and keys.thumbprints != self._keys.thumbprints
        self._keys, self._fetched, self.problem = keys, self._clock(), ""
        if changed:
            self._on_change()
