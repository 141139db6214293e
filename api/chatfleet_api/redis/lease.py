"""The lease of the one pod that does something for all: no two pods have it at a time, whatever becomes of either."""

from collections.abc import Callable
from typing import Final

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.redis.client import RedisClient

LEASE_SECONDS: Final = 20.0
"""After which another pod takes the place of one that was killed."""
RENEW_SECONDS: Final = 3.0

LEASE: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
OURS: Final = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
"""The fence: the beginning of a script with which a pod that has lost the lease changes nothing."""
RELEASE: Final = OURS + "return redis.call('DEL', KEYS[1])\n"


class Lease:
    """The lease at `key` of one process, `owner`, a name that no other one has."""

    def __init__(
        self,
        redis: RedisClient,
        key: str,
        owner: str,
        *,
        clock: Callable[[], float],
        seconds: float = LEASE_SECONDS,
    ) -> None:
        """Another pod takes the place of one that was killed after `seconds`."""
        self._redis, self._key, self.owner, self._clock, self._seconds = redis, key, owner, clock, seconds
        self._until = self._renewed = float("-inf")

    @property
    def seconds_left(self) -> float:
        """How long this process surely has the lease."""
        return self._until - self._clock()

    async def hold(self) -> bool:
        """Take the lease, or renew it when it is time; returns whether this process has it."""
        asked = self._clock()
        if self.seconds_left > 0 and asked - self._renewed < RENEW_SECONDS:
            return True
        try:
            taken = await self._redis.call("EVAL", LEASE, 1, self._key, self.owner, round(self._seconds * 1000))
        except ChatError:
            return self.seconds_left > 0
        self._renewed = asked
        self._until = asked + self._seconds if taken else float("-inf")
        return bool(taken)

    async def release(self) -> None:
        """Let another process take the lease at once."""
        if self.seconds_left > 0:
            self._until = float("-inf")
            await self._redis.call("EVAL", RELEASE, 1, self._key, self.owner)
