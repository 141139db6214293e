"""Pods of one fleet within one process: all that a pod does with Redis, and a way to cut one off."""

import asyncio
import random
import time
from collections.abc import AsyncIterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from typing_extensions import override
from uuid_utils import uuid7

from chatfleet_api.chat.accounting import Accounting
from chatfleet_api.chat.services import ChatPorts
from chatfleet_api.chat.turn import Seams
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Event
from chatfleet_api.domain.key_limits import LimitsOfKeys
from chatfleet_api.limits.limiter import Limiter
from chatfleet_api.limits.opening import open_limits, open_terms
from chatfleet_api.limits.together import Together
from chatfleet_api.pod.configuration import local
from chatfleet_api.pod.lifecycle import drain_runs
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.stores import after_end
from chatfleet_api.providers.provider import Provider
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.executor import Executor, Operation
from chatfleet_api.runs.fleet.interface import Fleet
from chatfleet_api.runs.fleet.redis import RedisFleet
from chatfleet_api.runs.log.tasks import cancel
from chatfleet_api.runs.opening import open_fleet, open_run_log
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.supervisor import supervise
from chatfleet_api.runs.tail import Batch
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.redis_ledger import RedisLedger, open_redis_ledger
from chatfleet_api.usage.sweep import Sweeper
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.provider_types import Continuation
from harness.pods.live import fixed
from harness.pods.runs import Chat, OneModel, conversations, streaming
from harness.polling import eventually_async

UNLIMITED = Limits()
LEAST = local()


class SeverableRedis(Executor):
    """A way to Redis that can be cut."""

    whole = True

    @override
    async def run(self, operation: Operation, *, waits: bool = False) -> Any:
        if not self.whole:
            raise ChatError(Code.STORAGE_UNAVAILABLE)
        return await super().run(operation, waits=waits)

    @override
    async def listen(self, operation: Operation) -> Any:
        if not self.whole:
            raise ChatError(Code.STORAGE_UNAVAILABLE)
        found = await super().listen(operation)
        if not self.whole:
            raise ChatError(Code.STORAGE_UNAVAILABLE)
        return found


@dataclass(frozen=True)
class FleetPod:
    """A pod, and its client of Redis: cut, the pod is as good as dead to the others; whole again, it is a zombie."""

    chat: Chat
    fleet: Fleet
    meter: Meter
    redis: SeverableRedis
    redis_client: RedisClient
    ledger: RedisLedger
    limiter: Limiter
    together: Together


class Following:
    """A reader in the background, and the events that it has seen."""

    def __init__(self, batches: AsyncIterable[Batch]) -> None:
        self.events: list[tuple[int, Event]] = []
        self._task = asyncio.create_task(self._read(batches))

    async def seen(self, count: int) -> None:
        """Return when it has seen so many events."""
        await eventually_async(lambda: len(self.events) >= count)

    async def whole(self) -> list[tuple[int, Event]]:
        """Return all events, at the end of the run; raises what the reader met."""
        async with asyncio.timeout(20):
            await self._task
        return self.events

    async def _read(self, batches: AsyncIterable[Batch]) -> None:
        async for batch in batches:
            self.events.extend(enumerate(batch.events, batch.first))


def _pods(fleet: Fleet) -> int:
    details = fleet.details()
    return details.pods if details else 1


async def acquainted(*pods: FleetPod) -> None:
    """Return when each of these pods, all of their fleet, has seen the heartbeats of the others."""
    await eventually_async(lambda: all(_pods(pod.fleet) == len(pods) for pod in pods))


async def open_pod(
    stack: AsyncExitStack,
    url: str,
    provider: Provider,
    continuation: Continuation = "none",
    *,
    fleet: str = "chat",
    capacity: int = 10,
    prices: PriceBook | None = None,
    limits: Limits = UNLIMITED,
    keys: LimitsOfKeys | None = None,
) -> FleetPod:
    """Return a pod that works until `stack` is left. No `prices`: no model has one."""
    redis, redis_client = await _connected(stack, url, fleet)
    streams = streaming(max_streams_per_pod=capacity, max_stream_seconds=60, log_ttl_seconds=60)
    members = await stack.enter_async_context(
        open_fleet(redis_client, pod := str(uuid7()), streams, clock=time.monotonic, rand=random.random)
    )
    ledger = await stack.enter_async_context(open_redis_ledger(redis_client, pod, lambda: 60))
    log = await stack.enter_async_context(
        open_run_log(
            redis_client, streams, conversations(), clock=time.monotonic, after_end=partial(after_end, ledger, None)
        )
    )
    pool = RunPool(log, members, streams)
    sessions = RedisSessionStore(redis_client, conversations(ttl_seconds=60), fixed(0))
    meter = Meter("tests")
    book = fixed(PriceBook({}) if prices is None else prices)
    assert isinstance(members, RedisFleet)
    members.before_removal(Sweeper(redis_client, pod, book, lambda: datetime.now(UTC), meter.charged).sweep)
    accounting = Accounting(ledger=ledger, prices=book, now=lambda: datetime.now(UTC), meter=meter)
    config = LEAST.model_copy(update={"limits": limits, "streaming": streams()})
    terms = open_terms(fixed(config), book, fixed(keys or {}))
    limiting = await stack.enter_async_context(
        open_limits(redis_client, fixed(config), terms, pods=lambda: _pods(members), clock=time.monotonic)
    )
    chat = Chat(
        ChatPorts(
            catalogue=fixed(OneModel(provider, continuation)),
            pool=pool,
            log=log,
            fleet=members,
            sessions=sessions,
            clock=time.monotonic,
            now=lambda: datetime.now(UTC),
            new_id=_new_id,
            meter=meter,
            on_busy=fixed("reject"),
            seams=Seams(accounting=accounting, limits=limiting.limiter),
        )
    )
    assert limiting.together is not None
    supervising = asyncio.create_task(supervise(members, pool, chat.takeover.produce))
    stack.push_async_callback(cancel, supervising)
    stack.push_async_callback(cancel, asyncio.create_task(limiting.together.run()))
    stack.push_async_callback(drain_runs, pool, 0)
    stack.callback(setattr, redis, "whole", True)  # noqa: FBT003  # a value
    return FleetPod(chat, members, meter, redis, redis_client, ledger, limiting.limiter, limiting.together)


async def _connected(stack: AsyncExitStack, url: str, fleet: str) -> tuple[SeverableRedis, RedisClient]:
    """Return a connection that a test can sever, once Redis has answered."""
    redis = SeverableRedis(lambda: url)
    redis.reload_url()
    stack.push_async_callback(redis.aclose)
    client = RedisClient(redis, f"tests/{fleet}")
    while not await reached(client):  # a cluster's client takes its time to find its servers
        pass
    return redis, client


def _new_id() -> str:
    return str(uuid7())


async def reached(redis_client: RedisClient) -> bool:
    """Return whether Redis answers."""
    try:
        await redis_client.call("PING")
    except ChatError:
        return False
    return True
