"""What the answers of this pod hold, and what is yet to be settled in Redis."""

import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from chatfleet_api.domain.quota import Held
from chatfleet_api.limits.meters import LeaseKey, RedisMeters

MOST_UNSETTLED: Final = 20_000
"""Answers that end while Redis is unreachable, and are settled when it returns; what the oldest used is lost then."""

logger = logging.getLogger(__name__)


class Unsettled(NamedTuple):
    tenant: str
    held: Held
    spent: tuple[int, ...]


class Leases:
    """The answers that count, and the settlements that could not be made."""

    def __init__(self, meters: RedisMeters) -> None:
        self._meters = meters
        self._active: dict[str, tuple[str, Held]] = {}
        self._unsettled: dict[str, Unsettled] = {}

    def begin(self, tenant: str, held: Held) -> None:
        """Renew what an answer holds, until its end."""
        self._active[held.lease] = (tenant, held)

    def end(self, held: Held) -> bool:
        """Do not renew it any more; return whether it was this pod's until now."""
        return self._active.pop(held.lease, None) is not None

    def holds(self, held: Held) -> bool:
        """Return whether it is to be renewed, or settled."""
        return held.lease in self._active or held.lease in self._unsettled

    def later(self, tenant: str, held: Held, spent: tuple[int, ...]) -> None:
        """Settle when Redis can be reached."""
        if len(self._unsettled) >= MOST_UNSETTLED:
            logger.error("Too many answers are not settled; what the oldest used is not charged")
            self._unsettled.pop(next(iter(self._unsettled)))
        self._unsettled[held.lease] = Unsettled(tenant, held, spent)

    def settled(self, held: Held) -> None:
        """Forget a settlement that was made."""
        self._unsettled.pop(held.lease, None)

    @property
    def pending(self) -> bool:
        """Whether something is yet to be settled."""
        return bool(self._unsettled)

    async def settle(self) -> None:
        """Settle what could not be before; raises `ChatError(STORAGE_UNAVAILABLE)`."""
        for each in [*self._unsettled.values()]:
            await self._meters.settle(*each)
            self.settled(each.held)

    async def renew(self) -> None:
        """Renew all leases; raises `ChatError(STORAGE_UNAVAILABLE)`."""
        renewed = self._by_meter([*self._active.values()])
        await self._meters.renew(renewed)
        # One that ended meanwhile may have been released before it was renewed, and would count until it runs out.
        ended = {key: [name for name in names if name not in self._active] for key, names in renewed.items()}
        await self._meters.release(ended)

    @staticmethod
    def _by_meter(active: Sequence[tuple[str, Held]]) -> dict[LeaseKey, list[str]]:
        found: dict[LeaseKey, list[str]] = {}
        for tenant, held in active:
            for demand in held.demands:
                if demand.unit == "streams":
                    found.setdefault((tenant, demand.meter), []).append(held.lease)
        return found
