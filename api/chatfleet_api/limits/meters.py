"""The meters of all pods in Redis. Each method is one command, and raises `ChatError(STORAGE_UNAVAILABLE)`."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from chatfleet_api.domain.quota import Held, qualified
from chatfleet_api.limits import script
from chatfleet_api.limits.verdict import Verdict
from chatfleet_api.redis.client import RedisClient

LEASE_SECONDS: Final = 15
"""After so long without a renewal a stream no longer counts: its pod died, and no other has taken its run over."""
REMEMBER_SECONDS: Final = 300
"""How long a charge is remembered that may come twice, because its reply was lost."""
KNOWN_KEYS: Final = 4096
"""Keys of meters that a pod has at hand."""
_MOST_LEASES: Final = 500
"""Renewed by one command."""

LeaseKey = tuple[str, str]
"""A tenant and one of its meters of streams."""


class RedisMeters:
    """The meters that the pods of a ChatDeployment share."""

    def __init__(self, redis: RedisClient, hold_seconds: Callable[[], int]) -> None:
        """Know what a request took for `hold_seconds`: the longest that its answer takes, on all pods that it has."""
        self._redis = redis
        self._hold_seconds = hold_seconds
        self._known_key = lru_cache(KNOWN_KEYS)(self._key)

    async def reserve(self, tenant: str, held: Held) -> Verdict:
        """Decide about a request, and note what it takes."""
        command = script.reserve(
            self._keys(tenant, held),
            held.lease,
            held.demands,
            lease_ms=LEASE_SECONDS * 1000,
            hold_ms=self._hold_seconds() * 1000,
        )
        return script.verdict(await self._redis.call(*command))

    async def settle(self, tenant: str, held: Held, spent: Sequence[int]) -> None:
        """Put what was spent in the place of what was reserved; charge it if this pod alone had decided."""
        remember = REMEMBER_SECONDS * 1000 if held.local else 0
        command = script.settle(self._keys(tenant, held), held.lease, held.demands, spent, remember)
        await self._redis.call(*command)

    async def renew(self, leases: Mapping[LeaseKey, Sequence[str]]) -> None:
        """Let streams count for another `LEASE_SECONDS`."""
        commands = [
            script.renew(self._key(*key), names[at : at + _MOST_LEASES], lease_ms=LEASE_SECONDS * 1000)
            for key, names in leases.items()
            for at in range(0, len(names), _MOST_LEASES)
        ]
        if commands:
            await self._redis.call_all(commands)

    async def release(self, leases: Mapping[LeaseKey, Sequence[str]]) -> None:
        """Let streams not count any more."""
        commands = [("ZREM", self._key(*key), *names) for key, names in leases.items() if names]
        if commands:
            await self._redis.call_all(commands)

    async def ping(self) -> None:
        """Return when Redis answers."""
        await self._redis.call("EXISTS", self._redis.shared_key("limits"))

    def _keys(self, tenant: str, held: Held) -> list[str]:
        keys = [self._known_key(tenant, each.meter) for each in held.demands]
        return [self._key(tenant, f"hold:{held.lease}"), *keys]

    def _key(self, tenant: str, meter: str) -> str:
        return self._redis.shared_key(qualified(tenant, meter))
