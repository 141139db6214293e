"""The parts of a running pod, and the one place that knows how they are put together."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from uuid_utils import uuid7

from chatfleet_api.chat.services import ChatPorts, ChatServices, chat_services
from chatfleet_api.domain.live import Live
from chatfleet_api.pod.configuration import Configuration, ConfigurationError
from chatfleet_api.pod.health import Health, Sources
from chatfleet_api.pod.lifecycle import Lifecycle
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.monitors import LoopHeartbeat, RedisMonitor, UpstreamMonitor
from chatfleet_api.pod.settings import Settings
from chatfleet_api.pod.token_rate import TokenRate
from chatfleet_api.providers.catalogue import open_registry
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.runs.fleet.interface import Fleet
from chatfleet_api.runs.fleet.supervisor import supervise
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.opening import open_fleet, open_run_log
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.sessions.opening import open_sessions
from chatfleet_api.sessions.store import SessionStore
from chatfleet_api.web import services as web
from chatfleet_api.web.stream import SSEStreams
from chatfleet_contract import metrics
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec import Streaming

VERSION: Final = version("chatfleet-api")

RESTART_SECONDS: Final = 1.0
"""Pause before a background task that failed is restarted."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """What routes and the server work with."""

    configuration: Configuration
    web: web.Services
    pool: RunPool
    log: RunLog
    health: Health
    lifecycle: Lifecycle
    meter: Meter


class _Stores(NamedTuple):
    redis: RedisClient | None
    """None: everything is in memory."""
    log: RunLog
    fleet: Fleet
    sessions: SessionStore


@asynccontextmanager
async def open_services(settings: Settings, config: RuntimeConfig) -> AsyncGenerator[Services, None]:
    """Yield the parts of a pod, at work; raises `ConfigurationError` when `config` cannot be served."""
    async with AsyncExitStack() as stack:
        meter = Meter(VERSION)
        registry = stack.enter_context(open_registry(meter, clock=time.monotonic, rand=random.random))
        configuration = Configuration(config, build=registry.catalogue)
        streaming = configuration.live.map(lambda config: config.streaming)
        stores = await _open_stores(stack, settings, configuration.live)
        pool = RunPool(stores.log, stores.fleet, streaming)
        chat = _chat(stores, configuration, pool, meter)
        sources = _sources(configuration, streaming, stores, pool, meter)
        health = Health(pod=settings.pod, version=VERSION, sources=sources)
        _export(meter, health, chat, pool)
        for task in (sources.heartbeat.run, sources.upstreams.run, sources.tokens.run):
            _restarting(stack, task)
        if sources.redis is not None:
            _restarting(stack, sources.redis.run)
            _restarting(stack, lambda: supervise(stores.fleet, pool, chat.takeover.produce))
        if (file := settings.config_file) is not None:
            _restarting(stack, lambda: configuration.watch(file))
        yield Services(
            configuration=configuration,
            web=_web(chat, configuration, sources.lifecycle, pool=pool, meter=meter),
            pool=pool,
            log=stores.log,
            health=health,
            lifecycle=sources.lifecycle,
            meter=meter,
        )


def _sources(
    configuration: Configuration, streaming: Live[Streaming], stores: _Stores, pool: RunPool, meter: Meter
) -> Sources:
    clock = time.monotonic
    return Sources(
        configuration=configuration,
        streaming=streaming,
        lifecycle=Lifecycle(clock),
        heartbeat=LoopHeartbeat(pool, clock=clock),
        upstreams=UpstreamMonitor(Live(lambda: configuration.catalogue), clock=clock, rand=random.uniform),
        tokens=TokenRate(meter.tokens, clock=clock),
        moves=pool,
        redis=None if stores.redis is None else RedisMonitor(stores.redis.check),
        fleet=stores.fleet.details,
    )


def _chat(stores: _Stores, configuration: Configuration, pool: RunPool, meter: Meter) -> ChatServices:
    return chat_services(
        ChatPorts(
            catalogue=lambda: configuration.catalogue,
            pool=pool,
            log=stores.log,
            fleet=stores.fleet,
            sessions=stores.sessions,
            clock=time.monotonic,
            now=lambda: datetime.now(UTC),
            new_id=_new_id,
            meter=meter,
            on_busy=lambda: configuration.current.conversations.on_busy,
        )
    )


def _web(
    chat: ChatServices, configuration: Configuration, lifecycle: Lifecycle, *, pool: RunPool, meter: Meter
) -> web.Services:
    return web.Services(
        completions=chat.completions,
        conversations=chat.conversations,
        responses=chat.responses,
        joining=chat.joining,
        models=lambda: configuration.catalogue,
        streams=SSEStreams(lambda: configuration.current.streaming.heartbeat_seconds, meter),
        on_client_disconnect=lambda: configuration.current.conversations.on_client_disconnect,
        version=VERSION,
        meter=meter,
        clock=time.monotonic,
        new_id=_new_id,
        config_digest=lambda: configuration.digest,
        close_connections=lambda: lifecycle.leaving or pool.near_capacity,
    )


def _new_id() -> str:
    return str(uuid7())


async def _open_stores(stack: AsyncExitStack, settings: Settings, config: Live[RuntimeConfig]) -> _Stores:
    redis = await _open_redis(stack, settings, config())
    streaming, conversations = config.map(lambda live: live.streaming), config.map(lambda live: live.conversations)
    wait_replicas = config.map(lambda live: live.redis_wait_replicas or 0)
    fleet = open_fleet(redis, f"{settings.pod}/{uuid7()}", streaming, clock=time.monotonic, rand=random.random)
    log = open_run_log(redis, streaming, conversations, clock=time.monotonic)
    return _Stores(
        redis,
        fleet=await stack.enter_async_context(fleet),
        log=await stack.enter_async_context(log),
        sessions=open_sessions(redis, conversations, wait_replicas, clock=time.monotonic),
    )


async def _open_redis(stack: AsyncExitStack, settings: Settings, config: RuntimeConfig) -> RedisClient | None:
    """Return None when everything is to be kept in memory."""
    url: str | Path
    if config.redis_url_file is not None:
        url = Path(config.redis_url_file)
    elif settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
    else:
        return None
    try:
        return await stack.enter_async_context(open_redis(url, config.namespace, config.deployment))
    except ValueError as wrong:
        raise ConfigurationError(f"the URL of Redis is not valid: {wrong}") from None


def _export(meter: Meter, health: Health, chat: ChatServices, pool: RunPool) -> None:
    meter.gauge(metrics.ACTIVE_STREAMS, "Streams that are open.", lambda: health.active)
    meter.gauge(metrics.STREAM_CAPACITY, "Streams that this pod takes.", lambda: health.max_streams)
    meter.gauge(
        metrics.QUEUED_REQUESTS,
        "Requests that wait for their turn in a conversation, or for a slot of an upstream.",
        lambda: chat.queue.waiting + health.queued_upstream(),
    )
    meter.gauge(metrics.REDIS_UP, "1 if Redis was last seen up, or is not used.", health.redis_up)
    meter.counter(
        metrics.RUNS_HANDED_OVER_TOTAL, "Runs given to other pods when this one ended.", lambda: pool.handed_over
    )


def _restarting(stack: AsyncExitStack, run: Callable[[], Awaitable[None]]) -> None:
    """Run a background task until `stack` is left. What breaks it is logged, and it starts again."""

    async def forever() -> None:
        while True:
            try:
                await run()
            except Exception:  # the edge of a task: it must not end, and nothing else must end with it
                logger.exception("a background task failed and is restarted")
            await asyncio.sleep(RESTART_SECONDS)

    task = asyncio.ensure_future(forever())

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
