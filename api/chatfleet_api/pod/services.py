"""The parts of a running pod, and the one place that knows how they are put together."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from uuid_utils import uuid7

from chatfleet_api.chat.chat import Chat
from chatfleet_api.chat.queueing import Queue
from chatfleet_api.pod.configuration import Configuration, ConfigurationError
from chatfleet_api.pod.health import Health, keep_beating, watch_redis, watch_upstreams
from chatfleet_api.pod.logs import set_up_logs
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.settings import Settings
from chatfleet_api.pod.token_rate import keep_rate
from chatfleet_api.providers.catalogue import Catalogue, Registry, open_registry
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.runs.fleet.redis import RedisFleet, open_fleet
from chatfleet_api.runs.fleet.supervisor import supervise
from chatfleet_api.runs.log.interface import Fleet, RunLog
from chatfleet_api.runs.log.memory import MemoryRunLog, SinglePodFleet
from chatfleet_api.runs.log.redis import FLUSH_SECONDS, RedisRunLog, open_run_log
from chatfleet_api.runs.pool import Limits, RunPool
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.sessions.store import SessionStore
from chatfleet_api.web.stream import SSEStreams
from chatfleet_contract import metrics
from chatfleet_contract.report import Dependency, State, Traffic
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec import OnBusy

VERSION: Final = version("chatfleet-api")

RESTART_SECONDS: Final = 1.0
"""Pause before a watcher that broke begins again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """What routes and the server work with."""

    configuration: Configuration
    chat: Chat
    streams: SSEStreams
    health: Health
    meter: Meter


class _Stores(NamedTuple):
    log: RunLog
    fleet: Fleet
    sessions: SessionStore
    retain: Callable[[RuntimeConfig], None]
    """Keeps what changes from now on for as long as the configuration says."""
    shared: "_InRedis | None" = None
    """None when everything is in memory."""


class _InRedis(NamedTuple):
    """The parts that are only there with a Redis."""

    storage: RedisClient
    fleet: RedisFleet
    log: RedisRunLog


@asynccontextmanager
async def open_services(settings: Settings, config: RuntimeConfig) -> AsyncGenerator[Services, None]:
    """Yield the parts of a pod, at work; raises `ConfigurationError` when `config` cannot be served."""
    async with AsyncExitStack() as stack:
        meter = Meter(VERSION)
        registry = stack.enter_context(open_registry(meter))
        stores = await _open_stores(stack, _redis_url(settings, config), config, settings.pod)
        pool = RunPool(stores.log, stores.fleet, _limits(config))
        served = _Served(registry, pool, stores, config)
        configuration = Configuration(config)
        health = Health(pod=settings.pod, version=VERSION, served=configuration, clock=time.monotonic)
        health.traffic, health.moves = served.traffic, pool
        watchers: list[Callable[[], Awaitable[None]]] = [
            lambda: keep_beating(health, pool, lambda: pool.limits.capacity),
            lambda: watch_upstreams(health, served.check),
            lambda: keep_rate(health, meter.tokens, time.monotonic),
        ]
        chat = _chat(stores, served, pool, meter, lambda: configuration.current.conversations.on_busy)
        _export(meter, health, chat)
        if (shared := stores.shared) is not None:
            health.redis = Dependency(state=State.UNKNOWN)
            health.fleet = shared.fleet.details
            watchers.append(lambda: watch_redis(health, shared.storage.check))
            watchers.append(lambda: supervise(shared.fleet, pool, writing=shared.log.writing, go_on=chat.go_on))
        if (file := settings.config_file) is not None:
            watchers.append(lambda: configuration.watch(file, served.take))
        for watcher in watchers:
            _watch(stack, watcher)
        yield Services(
            configuration=configuration,
            chat=chat,
            streams=SSEStreams(lambda: configuration.current.streaming.heartbeat_seconds, meter),
            health=health,
            meter=meter,
        )


def _chat(stores: _Stores, served: "_Served", pool: RunPool, meter: Meter, on_busy: Callable[[], OnBusy]) -> Chat:
    return Chat(
        lambda: served.catalogue,
        pool,
        stores.log,
        stores.fleet,
        stores.sessions,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        new_id=_new_id,
        queue=Queue(stores.sessions, _new_id),
        meter=meter,
        on_busy=on_busy,
    )


def _new_id() -> str:
    return str(uuid7())


class _Served:
    """What a new configuration replaces while the pod runs."""

    def __init__(self, registry: Registry, pool: RunPool, stores: _Stores, config: RuntimeConfig) -> None:
        self._registry = registry
        self._pool = pool
        self._stores = stores
        self.catalogue = self._catalogue(config)

    async def take(self, config: RuntimeConfig) -> None:
        """Serve `config` from now on; runs go on with the catalogue that they began with."""
        self.catalogue = self._catalogue(config)
        self._pool.limits = _limits(config)
        self._stores.retain(config)
        set_up_logs(config.observability)

    async def check(self) -> Mapping[str, Dependency]:
        """Return how the upstreams of the current configuration are."""
        return await self.catalogue.check()

    def traffic(self) -> Mapping[str, Traffic]:
        """Return how the upstreams of the current configuration are dealt with; any thread may ask."""
        return self.catalogue.traffic()

    def _catalogue(self, config: RuntimeConfig) -> Catalogue:
        try:
            return self._registry.catalogue(config)
        except ValueError as wrong:
            raise ConfigurationError(str(wrong)) from None


async def _open_stores(stack: AsyncExitStack, url: str | Path | None, config: RuntimeConfig, pod: str) -> _Stores:
    return _memory_stores(config) if url is None else await _redis_stores(stack, url, config, pod)


def _memory_stores(config: RuntimeConfig) -> _Stores:
    log = MemoryRunLog(ttl_seconds=config.streaming.log_ttl_seconds, clock=time.monotonic)
    sessions = MemorySessionStore(ttl_seconds=config.conversations.ttl_seconds, clock=time.monotonic)

    def retain(config: RuntimeConfig) -> None:
        log.ttl_seconds, sessions.ttl_seconds = config.streaming.log_ttl_seconds, config.conversations.ttl_seconds

    return _Stores(log, SinglePodFleet(), sessions, retain)


async def _redis_stores(stack: AsyncExitStack, url: str | Path, config: RuntimeConfig, pod: str) -> _Stores:
    kept, streams = config.conversations.ttl_seconds, config.streaming
    try:
        storage = await stack.enter_async_context(open_redis(url, config.namespace, config.deployment))
    except ValueError as wrong:
        raise ConfigurationError(f"the URL of Redis is not valid: {wrong}") from None
    lifetime = streams.max_stream_seconds + streams.log_ttl_seconds
    fleet = await stack.enter_async_context(
        open_fleet(storage, f"{pod}/{uuid7()}", seconds=lifetime, clock=time.monotonic)
    )
    log = await stack.enter_async_context(
        open_run_log(storage, ttl_seconds=streams.log_ttl_seconds, run_seconds=streams.max_stream_seconds)
    )
    sessions = RedisSessionStore(storage, ttl_seconds=kept)

    def retain(config: RuntimeConfig) -> None:
        log.flush_seconds = min(FLUSH_SECONDS, config.conversations.save_interval_milliseconds / 1000 / 2)
        log.ttl_seconds, log.run_seconds = config.streaming.log_ttl_seconds, config.streaming.max_stream_seconds
        fleet.seconds = log.ttl_seconds + log.run_seconds
        sessions.ttl_seconds = config.conversations.ttl_seconds
        sessions.replicas = config.redis_wait_replicas or 0

    retain(config)
    return _Stores(log, fleet, sessions, retain, _InRedis(storage, fleet, log))


def _redis_url(settings: Settings, config: RuntimeConfig) -> str | Path | None:
    """Return where Redis is, or the file that says so; None when everything is to be kept in memory."""
    return settings.redis_url if config.redis_url_file is None else Path(config.redis_url_file)


def _limits(config: RuntimeConfig) -> Limits:
    return Limits(config.streaming.max_streams_per_pod, config.streaming.max_stream_seconds)


def _export(meter: Meter, health: Health, chat: Chat) -> None:
    meter.gauge(metrics.ACTIVE_STREAMS, "Streams that are open.", lambda: health.active)
    meter.gauge(metrics.STREAM_CAPACITY, "Streams that this pod takes.", lambda: health.capacity)
    meter.gauge(
        metrics.QUEUED_REQUESTS,
        "Requests that wait for their turn in a conversation, or for a slot of an upstream.",
        lambda: chat.queue.waiting + sum(upstream.queued for upstream in health.traffic().values()),
    )
    meter.gauge(metrics.REDIS_UP, "1 if Redis was last seen up, or is not used.", health.redis_up)
    meter.counter(
        metrics.RUNS_HANDED_OVER_TOTAL, "Runs given to other pods when this one ended.", lambda: chat.pool.handed_over
    )


def _watch(stack: AsyncExitStack, watcher: Callable[[], Awaitable[None]]) -> None:
    """Run `watcher` until `stack` is left; what breaks it is logged, and it begins again."""

    async def forever() -> None:
        while True:
            try:
                await watcher()
            except Exception:  # the edge of a watcher: it must not end, and nothing else must end with it
                logger.exception("a watcher failed and begins again")
            await asyncio.sleep(RESTART_SECONDS)

    task = asyncio.ensure_future(forever())

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
