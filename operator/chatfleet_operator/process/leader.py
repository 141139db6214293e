"""Which of several operators works: the one that holds the Lease.

Only this process' own monotonic clock counts: a Lease is taken over when it has not changed for as long as it is valid,
so that clocks that disagree cannot make two leaders. Why this is not the client library's: docs/decisions/0102.
"""

import asyncio
import logging
from typing import Final, NamedTuple, Protocol

from chatfleet_operator.model.errors import ClusterError

VALID_SECONDS: Final = 12
"""A Lease unchanged for so long is free: with a look every second, a dead leader is replaced within 13."""

GIVE_UP_SECONDS: Final = 8.0
"""A holder that could not renew for so long stops writing: well before anybody else may start."""

RENEW_SECONDS: Final = 2.0
"""Between two renewals."""

LOOK_SECONDS: Final = 1.0
"""Between two looks at somebody else's Lease; the last one comes when it ends."""

logger = logging.getLogger(__name__)


class Claim(NamedTuple):
    """What a Lease says."""

    holder: str
    """Identity of the holder; empty: it was given back."""
    seconds: int
    """How long it is valid without a change."""
    version: str
    """Changes with every renewal."""


class LeaseStore(Protocol):
    """Where the Lease is. Raises `errors.ClusterError`."""

    async def read(self) -> Claim | None:
        """Return the Lease; None: there is none."""
        ...

    async def write(self, before: Claim | None, holder: str, seconds: int) -> Claim:
        """Create the Lease, or replace `before`; fails when it has changed since `before` was read."""
        ...


class Lease:
    """One candidate's view of the Lease."""

    def __init__(self, store: LeaseStore, identity: str) -> None:
        """`identity` is unlike that of every other candidate, and of this one's earlier lives."""
        self._store = store
        self._identity = identity
        self._claim: Claim | None = None
        self._renewed_at: float | None = None

    def is_held(self) -> bool:
        """Say whether this candidate may write now: asked before every write, so that a process that slept cannot."""
        return self._renewed_at is not None and _now() < self._renewed_at + GIVE_UP_SECONDS

    async def acquire(self) -> None:
        """Return once the Lease is ours."""
        seen_at = _now()
        while True:
            try:
                before = self._claim
                self._claim = await self._store.read()
                if before is None or self._claim is None or self._claim.version != before.version:
                    seen_at = _now()
                if _is_free(self._claim, _now() - seen_at):
                    await self._take()
                    return
            except ClusterError as error:
                logger.info("the lease is not to be had now: %s", error)
            await asyncio.sleep(_pause(self._claim, _now() - seen_at))

    async def hold(self) -> None:
        """Renew the Lease until it is lost; return then."""
        while self._renewed_at is not None:
            await asyncio.sleep(RENEW_SECONDS)
            left = self._renewed_at + GIVE_UP_SECONDS - _now()
            try:
                async with asyncio.timeout(max(left, 0)):
                    await self._renew()
            except (ClusterError, TimeoutError) as error:
                logger.warning("the lease was not renewed: %s", str(error) or "no answer in time")
                self._claim = None  # read it again: a write may have arrived whose answer did not
            if not self.is_held():
                self._renewed_at = None

    async def release(self) -> None:
        """Give the Lease back, so that another candidate need not wait. Harmless when it is not ours."""
        if self.is_held() and self._claim:
            self._renewed_at = None
            await self._store.write(self._claim, "", 1)

    async def _take(self) -> None:
        started = _now()  # the Lease counts from before the request: the answer may be slow
        self._claim = await self._store.write(self._claim, self._identity, VALID_SECONDS)
        self._renewed_at = started

    async def _renew(self) -> None:
        self._claim = self._claim or await self._store.read()
        if self._claim and self._claim.holder != self._identity:
            self._renewed_at = None
            return
        await self._take()


def _is_free(claim: Claim | None, unchanged: float) -> bool:
    return claim is None or not claim.holder or unchanged >= claim.seconds


def _pause(claim: Claim | None, unchanged: float) -> float:
    left = claim.seconds - unchanged if claim else 0.0
    return min(left, LOOK_SECONDS) if left > 0 else LOOK_SECONDS


def _now() -> float:
    return asyncio.get_running_loop().time()
