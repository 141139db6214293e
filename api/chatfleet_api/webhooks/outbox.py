"""Makes notices of events, and queues those that no other step queues.

The event of a run that is logged is queued by the step that ends the run. On a cluster the logs of runs are in other
slots than the queues, so that it comes here, too, once its run has ended.
"""

import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from chatfleet_api.domain.live import Live
from chatfleet_api.redis.background_writer import BackgroundWriter
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.webhooks.event import HookEvent, Notice, notice_of
from chatfleet_api.webhooks.queue import notify_command
from chatfleet_contract.runtime import RuntimeConfig

MAX_WAITING: Final = 10_000
"""Notices that wait for Redis to return; further ones are lost, with a log line."""

logger = logging.getLogger(__name__)


class Outbox:
    """Queues events."""

    def __init__(self, redis: RedisClient, config: Live[RuntimeConfig]) -> None:
        self._redis = redis
        self._config = config
        self._waiting: deque[Notice] = deque()
        self._writer = BackgroundWriter(self._write, self._lost)

    def has_webhooks(self) -> bool:
        """Whether there are webhooks now, or users may have some."""
        config = self._config()
        return bool(config.webhooks) or config.conversations.user_webhooks

    def notice(self, event: HookEvent, *, left: bool = False) -> Notice | None:
        """Return the notice of an event; None: no webhook wants it. `left`: whether its user is not present."""
        config = self._config()
        account, users = f"{config.namespace}/{config.deployment}", config.conversations.user_webhooks
        return notice_of(event, config.webhooks, account=account, users=users, left=left)

    async def put(self, event: HookEvent) -> None:
        """Queue an event; raises `ChatError(STORAGE_UNAVAILABLE)`."""
        if (notice := self.notice(event)) is not None:
            await self._redis.call(*notify_command(self._redis, notice))

    def add(self, notice: Notice) -> None:
        """Queue a notice soon; never waits."""
        if len(self._waiting) >= MAX_WAITING:
            logger.error("Redis was unreachable for too long: event %s was not queued for its webhooks", notice.id)
            return
        self._waiting.append(notice)
        self._writer.wake()

    def writing(self) -> AbstractAsyncContextManager[None]:
        """Queue what is added while the block lasts, and what is left at its end."""
        return self._writer.running()

    async def _write(self) -> None:
        """Queue all that was added. A repeat, after a lost reply, changes nothing."""
        while self._waiting:
            await self._redis.call(*notify_command(self._redis, self._waiting[0]))
            self._waiting.popleft()

    def _lost(self) -> None:
        logger.error("Redis is unreachable: %d events were not queued for their webhooks", len(self._waiting))


async def no_webhooks(event: HookEvent) -> None:
    """Queue no event: a pod without Redis has no webhooks."""


@asynccontextmanager
async def open_outbox(redis: RedisClient, config: Live[RuntimeConfig]) -> AsyncGenerator[Outbox, None]:
    """Yield an outbox that queues while the block lasts, and what is left at its end."""
    outbox = Outbox(redis, config)
    async with outbox.writing():
        yield outbox
