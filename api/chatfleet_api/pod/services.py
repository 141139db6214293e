"""The parts of a running pod, and the one place that knows how they are put together."""

import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from uuid_utils import uuid7

from chatfleet_api.chat.services import ChatPorts, ChatServices, chat_services
from chatfleet_api.pod.background import background
from chatfleet_api.pod.configuration import Configuration
from chatfleet_api.pod.health import Health, Sources
from chatfleet_api.pod.lifecycle import Lifecycle
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.monitors import LoopHeartbeat, RedisMonitor, UpstreamMonitor
from chatfleet_api.pod.settings import Settings
from chatfleet_api.pod.stores import Stores, open_stores
from chatfleet_api.pod.token_rate import TokenRate
from chatfleet_api.providers.registry import open_registry
from chatfleet_api.runs.fleet.supervisor import supervise
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.web import services as web
from chatfleet_api.web.stream import SSEStreams
from chatfleet_contract import metrics
from chatfleet_contract.runtime import RuntimeConfig

VERSION: Final = version("chatfleet-api")


@dataclass(frozen=True)
class Services:
    """What the servers of a pod work with."""

    configuration: Configuration
    web: web.Services
    health: Health
    lifecycle: Lifecycle
    pool: RunPool
    log: RunLog
    meter: Meter


@asynccontextmanager
async def open_services(settings: Settings, config: RuntimeConfig) -> AsyncGenerator[Services, None]:
    """Yield the parts of a pod, at work; raises `ConfigurationError` when `config` cannot be served."""
    meter = Meter(VERSION)
    with open_registry(meter, clock=time.monotonic, rand=random.random) as registry:
        configuration = Configuration(config, build=registry.catalogue)
        async with open_stores(settings, configuration.live) as stores:
            pool = RunPool(stores.log, stores.fleet, configuration.live.map(lambda live: live.streaming))
            chat = _chat(configuration, stores, pool, meter)
            sources = _sources(configuration, stores, pool, meter)
            health = Health(pod=settings.pod, version=VERSION, sources=sources)
            _export(meter, health, chat, pool)
            tasks = [sources.heartbeat.run, sources.upstreams.run, sources.tokens.run]
            if sources.redis is not None:
                tasks += [sources.redis.run, lambda: supervise(stores.fleet, pool, chat.takeover.produce)]
            if (file := settings.config_file) is not None:
                tasks.append(lambda: configuration.watch(file))
            async with background(*tasks):
                serving = _web(configuration, chat, sources.lifecycle, pool, meter=meter)
                yield Services(configuration, serving, health, sources.lifecycle, pool, stores.log, meter)


def _chat(configuration: Configuration, stores: Stores, pool: RunPool, meter: Meter) -> ChatServices:
    return chat_services(
        ChatPorts(
            catalogue=configuration.live_catalogue,
            pool=pool,
            log=stores.log,
            fleet=stores.fleet,
            sessions=stores.sessions,
            clock=time.monotonic,
            now=lambda: datetime.now(UTC),
            new_id=_new_id,
            meter=meter,
            on_busy=configuration.live.map(lambda live: live.conversations.on_busy),
        )
    )


def _sources(configuration: Configuration, stores: Stores, pool: RunPool, meter: Meter) -> Sources:
    clock = time.monotonic
    return Sources(
        configuration=configuration,
        streaming=configuration.live.map(lambda live: live.streaming),
        lifecycle=Lifecycle(clock),
        heartbeat=LoopHeartbeat(pool, clock=clock),
        upstreams=UpstreamMonitor(configuration.live_catalogue, clock=clock, rand=random.uniform),
        tokens=TokenRate(meter.tokens, clock=clock),
        moves=pool,
        redis=None if stores.redis is None else RedisMonitor(stores.redis.check),
        fleet=stores.fleet.details,
    )


def _web(
    configuration: Configuration, chat: ChatServices, lifecycle: Lifecycle, pool: RunPool, *, meter: Meter
) -> web.Services:
    return web.Services(
        completions=chat.completions,
        conversations=chat.conversations,
        responses=chat.responses,
        joining=chat.joining,
        models=configuration.live_catalogue,
        streams=SSEStreams(configuration.live.map(lambda live: live.streaming.heartbeat_seconds), meter),
        on_client_disconnect=configuration.live.map(lambda live: live.conversations.on_client_disconnect),
        version=VERSION,
        meter=meter,
        clock=time.monotonic,
        new_id=_new_id,
        config_digest=lambda: configuration.digest,
        close_connections=lambda: lifecycle.leaving or pool.near_capacity,
    )


def _export(meter: Meter, health: Health, chat: ChatServices, pool: RunPool) -> None:
    meter.gauge(metrics.ACTIVE_STREAMS, "Streams that are open.", lambda: health.active)
    meter.gauge(metrics.STREAM_CAPACITY, "Most streams that this pod accepts.", lambda: health.max_streams)
    meter.gauge(
        metrics.QUEUED_REQUESTS,
        "Requests that wait for their turn in a conversation, or for a slot of an upstream.",
        lambda: chat.queue.waiting + health.queued_upstream(),
    )
    meter.gauge(metrics.REDIS_UP, "1 if Redis was last seen up, or is not used.", health.redis_up)
    meter.counter(
        metrics.RUNS_HANDED_OVER_TOTAL, "Runs handed over to other pods when this one ended.", lambda: pool.handed_over
    )


def _new_id() -> str:
    return str(uuid7())
