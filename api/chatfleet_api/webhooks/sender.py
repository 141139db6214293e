"""Sends the events of all webhooks, while this pod has the lease."""

import asyncio
from contextlib import suppress
from typing import Final

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.live import Live
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.webhooks.delivery import Delivery, Tools
from chatfleet_api.webhooks.inactive_users import InactiveUsers
from chatfleet_api.webhooks.queue import WebhookQueue
from chatfleet_api.webhooks.receivers import Receiver, ResourceReceiver, UserReceivers
from chatfleet_api.webhooks.users import RedisUserWebhooks
from chatfleet_contract.runtime import RuntimeConfig, RuntimeEgress

POLL_SECONDS: Final = 0.25
"""Between two looks at the queues while nothing is sent."""
BUSY_SECONDS: Final = 0.02
"""Between two looks while something is."""
IDLE_SECONDS: Final = 2.0
"""Between two attempts at the lease, and two looks at a configuration without webhooks."""


class Sender:
    """The sender of a pod."""

    def __init__(self, redis: RedisClient, config: Live[RuntimeConfig], tools: Tools) -> None:
        self._redis, self._config, self._tools = redis, config, tools
        self._egress: RuntimeEgress | None = None
        self._inactive = InactiveUsers(redis, tools.lease.owner, tools.user_inactive)
        self._deliveries: dict[str, Delivery] = {}
        self.problems: tuple[str, ...] = ()
        """Which webhooks do not accept events, and why, as far as this pod sends."""

    async def run(self) -> None:
        """Send as long as this task lives."""
        try:
            while True:
                pause = await self._step()
                await asyncio.sleep(pause)
        finally:
            await self._stop()
            with suppress(ChatError):
                await self._tools.lease.release()

    async def _step(self) -> float:
        """Send what is due; returns the seconds until the next step."""
        config = self._config()
        if not (config.webhooks or config.conversations.user_webhooks) or not await self._tools.lease.hold():
            await self._stop()
            return IDLE_SECONDS
        if config.egress != self._egress:
            self._egress = config.egress
            egress = Egress.of(config.egress)
            self._tools.pool.use(Dialer(egress))
            self._tools.user_pool.use(self._tools.user_dialer(egress))
        receivers = self._receivers(config)
        for name in self._deliveries.keys() - {receiver.name for receiver in receivers}:
            await self._deliveries.pop(name).aclose()
        self._tools.changed.clear()
        try:
            await self._inactive.step(config)
            for receiver in receivers:
                if receiver.name not in self._deliveries:
                    queue = WebhookQueue(self._redis, receiver.name, self._tools.lease.owner)
                    self._deliveries[receiver.name] = Delivery(queue, receiver, self._tools)
                delivery = self._deliveries[receiver.name]
                delivery.receiver = receiver
                await delivery.step()
            self.problems = tuple(
                f"Webhook {name}: {each.problem}"
                for name, each in self._deliveries.items()
                if each.problem and not each.receiver.of_users
            )
        except ChatError:  # Redis is unreachable
            return IDLE_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._tools.changed.wait()
        return BUSY_SECONDS

    async def _stop(self) -> None:
        """End what this pod sends, since another pod may send now."""
        deliveries, self._deliveries, self.problems = self._deliveries, {}, ()
        for delivery in deliveries.values():
            await delivery.aclose()
        self._tools.pool.close()
        self._tools.user_pool.close()

    def _receivers(self, config: RuntimeConfig) -> list[Receiver]:
        found: list[Receiver] = [ResourceReceiver(webhook) for webhook in config.webhooks]
        return [*found, UserReceivers(RedisUserWebhooks(self._redis))] if config.conversations.user_webhooks else found
