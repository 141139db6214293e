"""Pods of one fleet within one process: all that a pod does with Redis, and a way to cut one off."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override
from uuid_utils import uuid7

from chatfleet_api.chat.chat import Chat
from chatfleet_api.chat.queueing import Queue
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.provider import Provider
from chatfleet_api.redis.client import Operation, RedisClient, open_redis
from chatfleet_api.runs.fleet.redis import open_fleet
from chatfleet_api.runs.fleet.supervisor import supervise
from chatfleet_api.runs.log.redis import open_run_log
from chatfleet_api.runs.log.tailing import cancelled
from chatfleet_api.runs.pool import Limits, RunPool
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_contract.providers import Continuation
from harness.pods.runs import OneModel


class Line(RedisClient):
    """A way to Redis that can be cut."""

    whole = True

    @override
    async def _answered(self, operation: Operation, slots: asyncio.Semaphore | None = None) -> Any:
        if not self.whole:
            raise ChatError(Code.STORAGE_UNAVAILABLE)
        return await super()._answered(operation, slots)


@dataclass(frozen=True)
class FleetPod:
    """A pod, and its line to Redis: cut, the pod is as good as dead to the others; whole again, it is a zombie."""

    chat: Chat
    meter: Meter
    line: Line


async def open_pod(
    stack: AsyncExitStack,
    url: str,
    provider: Provider,
    continuation: Continuation = "none",
    *,
    fleet: str = "chat",
    capacity: int = 10,
) -> FleetPod:
    """Return a pod that works until `stack` is left."""
    redis_client = await stack.enter_async_context(open_redis(url, "tests", fleet))
    redis_client.__class__ = Line
    assert isinstance(redis_client, Line)
    while not await reached(redis_client):  # a cluster's client takes its time to find its servers
        pass
    members = await stack.enter_async_context(open_fleet(redis_client, str(uuid7()), seconds=120, clock=time.monotonic))
    log = await stack.enter_async_context(open_run_log(redis_client, ttl_seconds=60, run_seconds=60))
    pool = RunPool(log, members, Limits(capacity, run_seconds=60))
    sessions, meter = RedisSessionStore(redis_client, ttl_seconds=60), Meter("tests")
    chat = Chat(
        catalogue=lambda: OneModel(provider, continuation),
        pool=pool,
        log=log,
        fleet=members,
        sessions=sessions,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        new_id=_new_id,
        queue=Queue(sessions, _new_id),
        meter=meter,
    )
    watch = asyncio.create_task(supervise(members, pool, writing=log.writing, go_on=chat.go_on))
    stack.push_async_callback(cancelled, watch)
    stack.push_async_callback(pool.drain, 0)
    stack.callback(setattr, redis_client, "whole", True)  # noqa: FBT003  # a value
    return FleetPod(chat, meter, redis_client)


def _new_id() -> str:
    return str(uuid7())


async def reached(redis_client: RedisClient) -> bool:
    """Return whether Redis answers."""
    try:
        await redis_client.ping()
    except ChatError:
        return False
    return True
