"""Budgets that are nearly exhausted, made known by one pod, once each: to webhooks, and to those who listen."""

import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from chatfleet_api.chat.history import stamp
from chatfleet_api.domain.dispatch import Dispatcher, EventKind
from chatfleet_api.limits.verdict import NANODOLLAR
from chatfleet_api.limits.warnings import NearlyExhausted, warn
from chatfleet_api.pod.stores import Stores
from chatfleet_api.redis.background_writer import BackgroundWriter
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.webhooks.event import HookEvent
from chatfleet_api.webhooks.outbox import Outbox
from chatfleet_contract.spec.webhooks import WebhookEvent

MOST: Final = 10_000
"""Budgets that this pod remembers to have seen; of an older one it looks into Redis again."""


class BudgetWarnings:
    """What this pod has seen of budgets, and made known of them."""

    def __init__(
        self,
        redis: RedisClient | None,
        outbox: Outbox | None,
        dispatcher: Dispatcher,
        *,
        owner: str,
        now: Callable[[], datetime],
    ) -> None:
        """`owner` names this process; `now` returns the time of day, with zone UTC. Without Redis, it is alone."""
        self._redis, self._outbox, self._dispatcher = redis, outbox, dispatcher
        self._owner, self._now = owner, now
        self._seen: dict[str, None] = {}
        self._sightings = count()
        self._waiting: deque[tuple[str, NearlyExhausted]] = deque()
        """Each with the name of its sighting: a later one, of a budget that was forgotten, does not warn again."""
        self._writer = BackgroundWriter(self._write, lambda: None)

    def see(self, budget: NearlyExhausted) -> None:
        """Make a budget known soon, unless that was done; never waits."""
        if budget.key in self._seen:
            return
        self._seen[budget.key] = None
        if len(self._seen) > MOST:
            del self._seen[next(iter(self._seen))]
        self._waiting.append((f"{self._owner}:{next(self._sightings)}", budget))
        self._writer.wake()

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None, None]:
        """Make known what is seen while the block lasts."""
        async with self._writer.running():
            yield

    async def _write(self) -> None:
        while self._waiting:
            sighting, budget = self._waiting[0]
            facts = facts_of(budget)
            if await self._is_first(sighting, budget, facts):
                self._dispatcher.emit(EventKind.BUDGET_WARNING, budget.tenant, **facts)
            self._waiting.popleft()

    async def _is_first(self, sighting: str, budget: NearlyExhausted, facts: dict[str, Any]) -> bool:
        if self._redis is None:
            return True
        notice = None if self._outbox is None else self._outbox.notice(event_of(budget, facts, stamp(self._now())))
        return await warn(self._redis, budget, sighting, notice)


@asynccontextmanager
async def budget_warnings(stores: Stores, dispatcher: Dispatcher) -> AsyncGenerator[None, None]:
    """Make budgets of the pod's limiter known while the block lasts."""
    warnings = BudgetWarnings(
        stores.redis, stores.outbox, dispatcher, owner=stores.process, now=lambda: datetime.now(UTC)
    )
    stores.limits.limiter.on_warning(warnings.see)
    async with warnings.writing():
        yield


def facts_of(budget: NearlyExhausted) -> dict[str, Any]:
    """Return what is made known of a budget: amounts in USD are texts."""
    in_usd = budget.unit == "usd"

    def amount(number: int) -> str | int:
        return f"{(number * NANODOLLAR).normalize():f}" if in_usd else number

    return {
        "scope": budget.scope,
        "name": budget.name,
        "unit": "usd" if in_usd else "tokens",
        "period": budget.period,
        "limit": amount(budget.limit),
        "used": amount(budget.used),
    }


def event_of(budget: NearlyExhausted, facts: dict[str, Any], at: str) -> HookEvent:
    """Return the event for webhooks: its id is the same on each pod."""
    ident = hashlib.blake2b(budget.key.encode(), digest_size=16).hexdigest()
    data = {"tenant": budget.tenant or None, **facts}
    return HookEvent(f"msg_{ident}", WebhookEvent.BUDGET_WARNING, f"budget:{ident}", at, data, {})
