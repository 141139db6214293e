"""One pod as a member of the fleet: its heartbeat, and which pods live as far as it can see."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import StorageUnavailableError
from chatfleet_api.domain.ids import RunKey
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.fleet.failure_detector import LEASE_SECONDS, UNOWNED, FailureDetector
from chatfleet_api.runs.keys import (
    cancels_key,
    from_member,
    owned_key,
    pods_key,
    tapped_key,
    tasks_wanted_key,
    to_member,
)
from chatfleet_contract.report import FleetDetails

_HEARTBEAT: Final = """
local time = redis.call('TIME')
local now = math.floor(time[1] * 1000 + time[2] / 1000)
redis.call('ZADD', KEYS[1], ARGV[2] * now, ARGV[1])
for i = 3, #ARGV do
  redis.call('SREM', KEYS[2], ARGV[i])
  redis.call('SREM', KEYS[3], ARGV[i])
end
local heartbeats = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local cancels, unowned = redis.call('SMEMBERS', KEYS[3]), redis.call('EXISTS', KEYS[4])
return {heartbeats, cancels, unowned, redis.call('EXISTS', KEYS[5]), redis.call('EXISTS', KEYS[6]), now}
"""
_DEREGISTER: Final = """
if redis.call('SCARD', KEYS[2]) == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
"""


class Observation(NamedTuple):
    """What a pod saw at a heartbeat of its own."""

    dead: Mapping[str, float]
    """Pods with orphans, and for how many seconds they have been silent."""
    cancelled: Sequence[RunKey]
    """Runs of this pod that are to be cancelled."""
    expired: bool
    """Whether this pod's own lease had run out, so that others may have taken its runs over."""
    at: float
    """When, by our clock, the lease begins that this heartbeat renews."""
    tapped: bool
    """Whether someone listens to the events of all pods."""
    tasks_wanted: bool
    """Whether someone wants to know the tasks of all pods."""


class Membership:
    """A pod's lease, and its view of the other pods."""

    def __init__(self, redis: RedisClient, pod: str, *, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._pod = pod
        self._clock = clock
        self._renewed = clock()
        self._detector = FailureDetector(clock)
        self.successors = 0
        """Other pods that live and take runs over."""
        self._living = 1
        """Pods that live, this one included."""

    async def heartbeat(self, finished: Sequence[RunKey], *, draining: bool) -> Observation:
        """Send a heartbeat that releases the runs that are `finished`; read those of the other pods."""
        began = self._clock()
        keys = (
            *(pods_key(self._redis), owned_key(self._redis, self._pod)),
            *(cancels_key(self._redis, self._pod), owned_key(self._redis, UNOWNED)),
            *(tapped_key(self._redis), tasks_wanted_key(self._redis)),
        )
        try:
            heartbeats, cancelled, unowned, tapped, wanted, at = await self._redis.call(
                "EVAL", _HEARTBEAT, len(keys), *keys, self._pod, -1 if draining else 1, *map(to_member, finished)
            )
        except StorageUnavailableError:
            self._detector.reset()
            raise
        pods = [(pod.decode(), int(sent)) for pod, sent in zip(heartbeats[::2], heartbeats[1::2], strict=True)]
        dead = self._detector.observe([*pods, *([(UNOWNED, 0)] if unowned else [])], at=at)
        self._living = sum(pod not in dead for pod, _ in pods)
        self.successors = sum(sent > 0 and pod not in dead and pod != self._pod for pod, sent in pods)
        expired = self._clock() - self._renewed > LEASE_SECONDS
        runs = [from_member(member) for member in cancelled]
        return Observation(dead, runs, expired, began, bool(tapped), bool(wanted))

    def renew(self, at: float) -> None:
        """Count this pod's lease from `at` on: not later than the heartbeat itself, from which the others count."""
        self._renewed = at

    def next_expiry(self) -> float:
        """Return in how many seconds the next lease runs out, unless its pod sends a heartbeat."""
        return self._detector.next_expiry()

    def details(self) -> FleetDetails:
        """Return how the fleet looks from here; may be called by another thread."""
        ago = self._clock() - self._renewed
        return FleetDetails(member=self._pod, pods=self._living, last_heartbeat_seconds_ago=ago)

    async def deregister(self) -> None:
        """Remove this pod from the fleet, unless runs of it are left to be taken over."""
        await deregister(self._redis, self._pod)


async def deregister(redis: RedisClient, pod: str) -> None:
    """Remove a pod from the fleet, unless runs of it are left to be taken over."""
    await redis.call("EVAL", _DEREGISTER, 2, pods_key(redis), owned_key(redis, pod), pod)
