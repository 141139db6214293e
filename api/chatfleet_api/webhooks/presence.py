"""Which users this pod has requests of, written to Redis: those who return are not inactive, on whichever pod."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from chatfleet_api.domain.live import Live
from chatfleet_api.redis.background_writer import BackgroundWriter
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.webhooks.event import owner_of
from chatfleet_api.webhooks.inactive_users import waits_for_users
from chatfleet_api.webhooks.inactivity import note_seen
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec.webhooks import LEAST_SECONDS, MOST_SECONDS, WebhookEvent

GATHER_SECONDS: Final = 0.25
"""In which users gather for one command."""
MOST: Final = 10_000
"""Users beside those with open requests that wait to be written while Redis is unreachable; the oldest go first."""
CHUNK: Final = 500
"""Users in one command."""
LONGEST_REFRESH: Final = 10.0
SHORTEST_REFRESH: Final = 0.5
"""Seconds between two notes of users with open streams: a third of the time after which a user is inactive."""
MARGIN_MS: Final = 60_000

logger = logging.getLogger(__name__)


class UserPresence:
    """Keeps users with open requests, and writes down when they were last seen."""

    def __init__(self, redis: RedisClient, config: Live[RuntimeConfig], *, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self._redis, self._config, self._clock = redis, config, clock
        self._open: dict[str, int] = {}
        """How many requests each has open."""
        self._seen: dict[str, float] = {}
        """When each was last seen that is not written."""
        self._writer = BackgroundWriter(self._write, self._lost, delay=GATHER_SECONDS)

    def wanted(self) -> bool:
        """Return whether it matters who is present."""
        return waits_for_users(self._config())

    def enter(self, tenant: str, user: str) -> None:
        """Note that a request of a user has begun."""
        owner = owner_of(tenant, user)
        self._open[owner] = self._open.get(owner, 0) + 1
        self._see(owner)

    def leave(self, tenant: str, user: str) -> None:
        """Note that it has ended."""
        owner = owner_of(tenant, user)
        if self._open[owner] == 1:
            del self._open[owner]
        else:
            self._open[owner] -= 1
        self._see(owner)

    def is_open(self, owner: str) -> bool:
        """Return whether a user has a request open on this pod."""
        return owner in self._open

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None, None]:
        """Write while the block lasts, and what is left at its end."""
        async with self._writer.running():
            refreshing = asyncio.create_task(self._refresh())
            try:
                yield
            finally:
                refreshing.cancel()
                await asyncio.wait([refreshing])

    def _see(self, owner: str) -> None:
        self._seen.pop(owner, None)
        self._seen[owner] = self._clock()
        if len(self._seen) > MOST + len(self._open):
            del self._seen[next(iter(self._seen))]
        self._writer.wake()

    async def _refresh(self) -> None:
        while True:
            shortest = min(self._waits(), default=3 * LONGEST_REFRESH)
            await asyncio.sleep(min(max(shortest / 3, SHORTEST_REFRESH), LONGEST_REFRESH))
            for owner in self._open if self.wanted() else ():
                self._see(owner)

    async def _write(self) -> None:
        keep_ms = 1000 * max(self._waits(), default=0) + MARGIN_MS
        while chunk := list(self._seen.items())[:CHUNK]:
            now = self._clock()
            await note_seen(self._redis, [(each, round((now - at) * 1000)) for each, at in chunk], keep_ms=keep_ms)
            for owner, at in chunk:
                if self._seen.get(owner) == at:
                    del self._seen[owner]

    def _waits(self) -> list[int]:
        config = self._config()
        waits = [each.inactive_after for each in config.webhooks if WebhookEvent.USER_INACTIVE in each.events]
        return [*waits, LEAST_SECONDS, MOST_SECONDS] if config.conversations.user_webhooks else waits

    def _lost(self) -> None:
        logger.warning("Redis is unreachable: %d users were not noted as present", len(self._seen))
