"""The decisions of all pods together, in Redis; how to get on while it is unreachable, and what to make up for then."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from chatfleet_api.domain.errors import StorageUnavailableError
from chatfleet_api.domain.quota import Held
from chatfleet_api.limits.leases import Leases
from chatfleet_api.limits.meters import LEASE_SECONDS, RedisMeters
from chatfleet_api.limits.verdict import Verdict

PAUSE_SECONDS: Final = 1.0
"""Between two rounds: what could not be settled is tried again, and so is a Redis that was unreachable."""
RENEW_SECONDS: Final = LEASE_SECONDS / 3
SETTLE_SECONDS: Final = 0.25
"""Longest that the end of an answer waits for its settlement, which goes on after that."""
TAKE_BACK_SECONDS: Final = 2.0
"""After so long no attempt at a command is under way any more."""

logger = logging.getLogger(__name__)


class Together:
    """This pod's part in the limits of the fleet."""

    def __init__(self, meters: RedisMeters, *, clock: Callable[[], float]) -> None:
        self._meters = meters
        self._leases = Leases(meters)
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self.unreachable = False
        """Whether Redis cannot be used, as far as is known."""

    @property
    def unsettled(self) -> bool:
        """Whether answers have ended that are not charged yet."""
        return self._leases.pending

    async def reserve(self, tenant: str, held: Held) -> Verdict | None:
        """Return what Redis decides; None: it is unreachable."""
        if self.unreachable:
            return None
        try:
            return await self._meters.reserve(tenant, held)
        except StorageUnavailableError:
            self._lost()
            self._take_back(tenant, held)
            return None
        except asyncio.CancelledError:
            self._take_back(tenant, held)
            raise

    def adopt(self, tenant: str, held: Held) -> None:
        """Renew what a run holds until its end."""
        self._leases.begin(tenant, held)

    def forget(self, held: Held) -> None:
        """Renew it no more: another pod does."""
        self._leases.end(held)

    async def settle(self, tenant: str, held: Held, spent: tuple[int, ...]) -> None:
        """Settle what an answer held, once; never raises. What takes longer than `SETTLE_SECONDS` goes on after that.

        It may be sent a second time then, which is harmless; a task for each settlement would cost half as much again.
        """
        if not self._ends(tenant, held, spent):
            return
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._settle(tenant, held, spent)
        except TimeoutError:
            self._begin(tenant, held, spent)
        except asyncio.CancelledError:
            self._begin(tenant, held, spent)
            raise

    def settle_later(self, tenant: str, held: Held, spent: tuple[int, ...]) -> None:
        """Begin to settle what an answer held, once."""
        if self._ends(tenant, held, spent):
            self._begin(tenant, held, spent)

    def _ends(self, tenant: str, held: Held, spent: tuple[int, ...]) -> bool:
        """End the lease; return whether it is to be settled now, and not later or by another."""
        if not self._leases.end(held):
            return False
        self._leases.later(tenant, held, spent)
        return not self.unreachable

    def _begin(self, tenant: str, held: Held, spent: tuple[int, ...]) -> None:
        task = asyncio.ensure_future(self._settle(tenant, held, spent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Renew leases and settle what could not be settled, until cancelled."""
        renew_at = self._clock() + RENEW_SECONDS
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                if self.unreachable:
                    await self._meters.ping()
                if self.unreachable or self._clock() >= renew_at:
                    await self._leases.renew()
                    renew_at = self._clock() + RENEW_SECONDS
                await self._leases.settle()
            except StorageUnavailableError:
                continue
            if self.unreachable:
                self.unreachable = False
                logger.warning("Redis can be used: limits are enforced by all pods together")

    async def aclose(self) -> None:
        """Complete the settlements that are under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SETTLE_SECONDS)

    async def _settle(self, tenant: str, held: Held, spent: tuple[int, ...]) -> None:
        try:
            await self._meters.settle(tenant, held, spent)
        except StorageUnavailableError:
            self._lost()
        else:
            self._leases.settled(held)

    def _take_back(self, tenant: str, held: Held) -> None:
        """Give back, once all attempts have ended, what Redis may have reserved without an answer."""

        def take_back() -> None:
            if not self._leases.holds(held):
                self._leases.later(tenant, held, tuple(0 for _ in held.demands))

        asyncio.get_running_loop().call_later(TAKE_BACK_SECONDS, take_back)

    def _lost(self) -> None:
        if not self.unreachable:
            self.unreachable = True
            logger.warning("Redis is unreachable: limits are enforced by each pod alone")
