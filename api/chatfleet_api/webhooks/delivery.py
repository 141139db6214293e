"""Sends the events of one webhook: several conversations at a time, the events of each one after the other."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.redis.lease import Lease
from chatfleet_api.webhooks.queue import Member, Queued, WebhookQueue
from chatfleet_api.webhooks.receivers import Receiver
from chatfleet_api.webhooks.request import REQUEST_SECONDS, DeliveryError, post
from chatfleet_api.webhooks.schedule import back_off, due, is_given_up
from chatfleet_api.webhooks.signing import NoSecretError, signed_headers

REPORTED_FAILURES: Final = 2
"""Failures in a row of one conversation from which on the status has them: a receiver that restarts is not worth it."""
SECRETS_SECONDS: Final = 5.0
"""Between two looks for the signing secrets while nothing is sent."""
STORE_SECONDS: Final = 5.0
"""Longest that a request and what Redis learns of it may take together beyond the request."""

logger = logging.getLogger(__name__)


class WebhookMeter(Protocol):
    """Counts deliveries."""

    def delivered(self, webhook: str, outcome: str) -> None:
        """Count an attempt at a delivery: `delivered`, `failed`, or `dead`."""
        ...

    def queued(self, webhook: str, state: str, count: int) -> None:
        """Record how many events of a webhook are in a state."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What all webhooks are sent with."""

    pool: ConnectionPool
    """For URLs of the resource."""
    user_pool: ConnectionPool
    """For those of users."""
    user_dialer: Callable[[Egress], Dialer]
    """Returns what opens connections to URLs of users."""
    lease: Lease
    meter: WebhookMeter
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    uniform: Callable[[float, float], float]
    changed: asyncio.Event
    """Is set when something may be due."""
    user_inactive: Callable[[Mapping[str, Any]], None] = lambda _: None
    """Gets the data of each event of an inactive user that is queued."""


class Delivery:
    """Sends the events of one webhook while its pod has the lease."""

    def __init__(self, queue: WebhookQueue, receiver: Receiver, tools: Tools) -> None:
        self._queue, self._tools = queue, tools
        self.receiver = receiver
        self._pool = tools.user_pool if receiver.of_users else tools.pool
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By group."""
        self._finished: set[str] = set()
        """Ids of events that were settled since the queue was looked at."""
        self._failures: dict[str, int] = {}
        self._retries: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        """Why the first event of a group was not accepted."""
        self._no_secret: str | None = None
        self._secrets_due = float("-inf")

    @property
    def problem(self) -> str | None:
        """Why events are not accepted, or will not be; None: they are, or have failed only once."""
        lasting = (why for group, why in self._reasons.items() if self._failures.get(group, 0) >= REPORTED_FAILURES)
        return self._no_secret or next(lasting, None)

    async def step(self) -> None:
        """Look at the queue, and send what is due."""
        self._finished.clear()
        self._look_for_secrets()
        found = await self._queue.look()
        self._report(self.receiver.name, found)
        now = self._tools.clock()
        waiting = [member for member in found.first if member.id not in self._finished]
        for member in due(waiting, busy=self._tasks, retries=self._retries, now=now):
            if (
                len(self._tasks) >= self.receiver.concurrent
                or self._tools.lease.seconds_left < REQUEST_SECONDS + STORE_SECONDS
            ):
                break
            task = asyncio.create_task(self._send(member))
            self._tasks[member.group] = task
            task.add_done_callback(partial(self._done, member.group))

    async def aclose(self) -> None:
        """End the requests under way: their events are sent again, with the same ids."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _done(self, group: str, task: asyncio.Task[None]) -> None:
        del self._tasks[group]
        if not task.cancelled() and (error := task.exception()):
            logger.error("An event of group %s was not sent", group, exc_info=error)
            self._fail(group)
        self._tools.changed.set()

    async def _send(self, member: Member) -> None:
        name = self.receiver.name
        try:
            event = await self._queue.event(member)
            try:
                target = None if event is None else await self.receiver.target(member)
                if event is None or target is None:
                    await self._settle(member)
                    return
                body = event.body.encode()
                headers = signed_headers(target.secrets, member.id, int(self._tools.now().timestamp()), body)
                await post(self._pool, target.url, headers, body)
            except (DeliveryError, NoSecretError) as error:
                await self._failed(name, member, event.at if event else "", str(error))
                return
            self._tools.meter.delivered(name, "delivered")
            failed = bool(self._reasons)
            await self._settle(member)
            if failed and not self._reasons:
                logger.warning("Webhook %s accepts events again", name)
        except ChatError:  # Redis is unreachable: the event is sent again
            self._fail(member.group)

    async def _failed(self, webhook: str, member: Member, at: str, problem: str) -> None:
        if not self._reasons:
            logger.warning("Webhook %s does not accept event %s: %s", webhook, member.id, problem)
        self._reasons[member.group] = problem
        if not is_given_up(at, self._tools.now()):
            self._tools.meter.delivered(webhook, "failed")
            self._fail(member.group)
            return
        logger.error("Webhook %s has not accepted event %s for too long: it is a dead letter", webhook, member.id)
        self._tools.meter.delivered(webhook, "dead")
        await self._queue.give_up(member)
        self._forget(member)

    async def _settle(self, member: Member) -> None:
        await self._queue.delivered(member)
        self._forget(member)

    def _forget(self, member: Member) -> None:
        self._finished.add(member.id)
        self._reasons.pop(member.group, None)
        self._failures.pop(member.group, None)
        self._retries.pop(member.group, None)

    def _fail(self, group: str) -> None:
        self._failures[group] = failures = self._failures.get(group, 0) + 1
        self._retries[group] = self._tools.clock() + back_off(failures, self._tools.uniform)

    def _look_for_secrets(self) -> None:
        """Find out that a secret is missing before there is an event to sign."""
        if (now := self._tools.clock()) < self._secrets_due:
            return
        self._secrets_due = now + SECRETS_SECONDS
        self._no_secret = self.receiver.missing()

    def _report(self, webhook: str, found: Queued) -> None:
        for state, count in (("queued", found.size), ("dead", found.dead), ("dropped", found.dropped)):
            self._tools.meter.queued(webhook, state, count)
