"""The lease of the one pod that sends: no two pods send at a time, whatever becomes of either."""

from collections.abc import Callable
from typing import Final

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.webhooks.queue import LEASE, RELEASE, sender_key

LEASE_SECONDS: Final = 20.0
"""After which another pod sends in the place of one that was killed."""
RENEW_SECONDS: Final = 3.0


class SenderLease:
    """The lease of one process, `owner`, a name that no other one has."""

    def __init__(self, redis: RedisClient, owner: str, *, clock: Callable[[], float]) -> None:
        self._redis, self.owner, self._clock = redis, owner, clock
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
            key, milliseconds = sender_key(self._redis), round(LEASE_SECONDS * 1000)
            taken = await self._redis.call("EVAL", LEASE, 1, key, self.owner, milliseconds)
        except ChatError:
            return self.seconds_left > 0
        self._renewed = asked
        self._until = asked + LEASE_SECONDS if taken else float("-inf")
        return bool(taken)

    async def release(self) -> None:
        """Let another process take the lease at once."""
        if self.seconds_left > 0:
            self._until = float("-inf")
            await self._redis.call("EVAL", RELEASE, 1, sender_key(self._redis), self.owner)
