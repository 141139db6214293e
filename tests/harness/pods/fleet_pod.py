"""Pods of one fleet within one process: all that a pod does with Redis, and a way to cut one off."""

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override
from uuid_utils import uuid7

from chatfleet_api.chat.services import ChatPorts
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.pod.lifecycle import drain_runs
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.provider import Provider
from chatfleet_api.redis.client import Operation, RedisClient, open_redis
from chatfleet_api.runs.fleet.supervisor import supervise
from chatfleet_api.runs.log.tasks import cancel
from chatfleet_api.runs.opening import open_fleet, open_run_log
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_contract.provider_types import Continuation
from harness.pods.runs import Chat, OneModel, conversations, streaming


class Line(RedisClient):
    """A way to Redis that can be cut."""

    whole = True

    @override
    async def _request(self, operation: Operation, slots: asyncio.Semaphore | None = None) -> Any:
        if not self.whole:
            raise ChatError(Code.STORAGE_UNAVAILABLE)
        return await super()._request(operation, slots)


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
    streams = streaming(max_streams_per_pod=capacity, max_stream_seconds=60, log_ttl_seconds=60)
    members = await stack.enter_async_context(
        open_fleet(redis_client, str(uuid7()), streams, clock=time.monotonic, rand=random.random)
    )
    log = await stack.enter_async_context(open_run_log(redis_client, streams, conversations(), clock=time.monotonic))
    pool = RunPool(log, members, streams)
    sessions = RedisSessionStore(redis_client, conversations(ttl_seconds=60), Live.fixed(0))
    meter = Meter("tests")
    chat = Chat(
        ChatPorts(
            catalogue=Live.fixed(OneModel(provider, continuation)),
            pool=pool,
            log=log,
            fleet=members,
            sessions=sessions,
            clock=time.monotonic,
            now=lambda: datetime.now(UTC),
            new_id=_new_id,
            meter=meter,
            on_busy=Live.fixed("reject"),
        )
    )
    supervising = asyncio.create_task(supervise(members, pool, chat.takeover.produce))
    stack.push_async_callback(cancel, supervising)
    stack.push_async_callback(drain_runs, pool, 0)
    stack.callback(setattr, redis_client, "whole", True)  # noqa: FBT003  # a value
    return FleetPod(chat, meter, redis_client)


def _new_id() -> str:
    return str(uuid7())


async def reached(redis_client: RedisClient) -> bool:
    """Return whether Redis answers."""
    try:
        await redis_client.call("PING")
    except ChatError:
        return False
    return True
