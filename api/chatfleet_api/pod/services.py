"""The parts of a running pod, and the one place that knows how they are put together."""

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Final

from uuid_utils import uuid7

from chatfleet_api.chat.agent_steps import AgentSteps
from chatfleet_api.chat.embeddings import Embeddings
from chatfleet_api.chat.feedback import FeedbackService
from chatfleet_api.chat.room import room_of
from chatfleet_api.chat.services import ChatPorts, ChatServices, chat_services
from chatfleet_api.chat.tool_steps import ToolSteps
from chatfleet_api.chat.turn import Seams
from chatfleet_api.chat.usage_reports import UsageReports
from chatfleet_api.chat.window import window_of
from chatfleet_api.domain.dispatch import Dispatcher
from chatfleet_api.domain.presence import Presence
from chatfleet_api.domain.tasks import TaskKind, Tasks
from chatfleet_api.identity.authentication import Authentication
from chatfleet_api.identity.key_uses import KeyUses
from chatfleet_api.pod.attachments import attaching_of
from chatfleet_api.pod.background import background
from chatfleet_api.pod.callers import authentication_of, open_key_uses
from chatfleet_api.pod.configuration import Configuration
from chatfleet_api.pod.day_usage import DayUsage
from chatfleet_api.pod.document_vectors import of_knowledge, of_library, open_library
from chatfleet_api.pod.exports import export, export_parts
from chatfleet_api.pod.fleet_tasks import Lasting, of_archive, of_fleet, of_limits
from chatfleet_api.pod.health import BudgetState, Health, Sources
from chatfleet_api.pod.lifecycle import Lifecycle
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.monitors import LoopHeartbeat, RedisMonitor, UpstreamMonitor, monitor_of
from chatfleet_api.pod.served_models import served_models
from chatfleet_api.pod.settings import Settings
from chatfleet_api.pod.stores import Stores, accounting, open_stores
from chatfleet_api.pod.token_rate import TokenRate
from chatfleet_api.pod.tracing import Tracing
from chatfleet_api.pod.warnings import budget_warnings
from chatfleet_api.pod.webhooks import announcer, user_webhooks, webhook_sender
from chatfleet_api.providers.registry import open_registry
from chatfleet_api.providers.response_cache.opening import open_response_cache
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.fleet.events import FleetEvents, open_fleet_events
from chatfleet_api.runs.fleet.tasks import TaskDirectory
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.supervisor import supervise
from chatfleet_api.sessions.feedback import FeedbackStore
from chatfleet_api.sessions.store import SessionStore
from chatfleet_api.tools.servers import McpServers, open_tool_servers
from chatfleet_api.web import services as web
from chatfleet_api.web.stream import SSEStreams
from chatfleet_api.webhooks.event import HookEvent
from chatfleet_api.webhooks.outbox import no_webhooks
from chatfleet_contract.report import Dependency, FleetDetails
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
    authentication: Authentication
    key_uses: KeyUses
    redis: RedisClient | None
    sessions: SessionStore
    dispatcher: Dispatcher
    fleet_events: FleetEvents | None
    tasks: TaskDirectory


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """What the servers' parts are wired from; tests have a clock and randomness of their own."""

    configuration: Configuration
    ports: ChatPorts
    feedback: FeedbackStore
    announce: Callable[[HookEvent], Awaitable[None]]
    """Queues an event for webhooks."""
    archive: Callable[[], Dependency | None] = lambda: None
    meter: Meter
    lifecycle: Lifecycle
    authentication: Authentication
    uniform: Callable[[float, float], float]
    """Returns a random number between two."""
    version: str
    redis: RedisClient | None = None
    """Has the webhooks of users; None: there are none."""
    presence: Presence | None = None

    def sources(
        self,
        redis: RedisMonitor | None = None,
        fleet: Callable[[], FleetDetails | None] = lambda: None,
        *,
        budgets: BudgetState,
        recheck: asyncio.Event,
    ) -> Sources:
        """Return what the health of the pod is read from."""
        configuration, clock = self.configuration, self.ports.clock
        return Sources(
            configuration=configuration,
            streaming=configuration.live.map(lambda live: live.streaming),
            test_routes=configuration.live.map(lambda live: live.observability.test_routes),
            lifecycle=self.lifecycle,
            heartbeat=LoopHeartbeat(self.ports.pool.admission, clock=clock),
            upstreams=UpstreamMonitor(configuration.live_catalogue, clock=clock, rand=self.uniform, recheck=recheck),
            tokens=TokenRate(self.meter.tokens, clock=clock),
            run_counters=self.ports.pool,
            redis=redis,
            fleet=fleet,
            authentication=self.authentication,
            usage=DayUsage(self.ports.ledger.totals, now=self.ports.now),
            budgets=budgets,
            archive=self.archive,
        )

    @property
    def _account(self) -> str:
        config = self.configuration.current
        return f"{config.namespace}/{config.deployment}"

    def web(self, chat: ChatServices) -> web.Services:
        """Return what the serving port works with."""
        configuration, ports = self.configuration, self.ports
        return web.Services(
            completions=chat.completions,
            conversations=chat.conversations,
            responses=chat.responses,
            joining=chat.joining,
            approvals=chat.approvals,
            models=ports.catalogue,
            embeddings=Embeddings(
                configuration.live_catalogue, ports.seams.accounting, ports.seams.limits, ports.new_id
            ),
            usage=UsageReports(self._account, ports.ledger, ports.sessions, ports.now),
            feedback=FeedbackService(
                feedback=self.feedback,
                sessions=ports.sessions,
                meter=self.meter,
                announce=self.announce,
                new_id=ports.new_id,
                now=ports.now,
                dispatcher=ports.seams.dispatcher,
            ),
            user_webhooks=user_webhooks(self.redis, configuration.live),
            streams=SSEStreams(configuration.live.map(lambda live: live.streaming), self.meter),
            on_client_disconnect=configuration.live.map(lambda live: live.conversations.on_client_disconnect),
            authenticate=self.authentication,
            caches=configuration.live.map(lambda live: live.cache.enabled and self.redis is not None),
            tracer=ports.tracer,
            presence=self.presence,
            test_routes=configuration.live.map(lambda live: live.observability.test_routes),
            access_lines=configuration.live.map(lambda live: live.observability.access_log),
            version=self.version,
            meter=self.meter,
            clock=ports.clock,
            new_id=ports.new_id,
            config_digest=lambda: configuration.digest,
            close_connections=lambda: self.lifecycle.terminating or ports.pool.admission.near_capacity,
        )


@asynccontextmanager
async def open_services(settings: Settings, config: RuntimeConfig) -> AsyncGenerator[Services, None]:
    """Yield the parts of a pod, at work; raises `ConfigurationError` when `config` cannot be served."""
    meter = Meter(VERSION)
    recheck = asyncio.Event()
    tasks = Tasks(settings.pod, now=lambda: datetime.now(UTC), new_id=_new_id)
    with (
        open_library(meter, tasks, lambda: configuration) as library,
        open_registry(
            meter, clock=time.monotonic, rand=random.random, recheck=recheck.set, environ=os.environ
        ) as registry,
    ):
        configuration = Configuration(config, build=partial(served_models, registry, ground=library.grounded))
        authentication = authentication_of(configuration)
        async with (
            open_stores(settings, configuration.live, authentication.limits, meter) as stores,
            open_tool_servers(configuration.live, clock=time.monotonic, version=VERSION, meter=meter) as tools,
            open_response_cache(stores.redis, configuration.live.map(lambda live: live.cache)) as registry.cache,
        ):
            tracing = Tracing(configuration.live, pod=settings.pod, version=VERSION)
            tracing.follow()
            dispatcher = Dispatcher(settings.pod, now=lambda: datetime.now(UTC), dropped=meter.event_dropped)
            fleet_events = open_fleet_events(stores.redis, dispatcher, _new_id, meter.event_dropped)
            wiring = _wiring(configuration, authentication, stores, meter, tracing, tools, (dispatcher, tasks))
            pool = wiring.ports.pool
            chat = chat_services(wiring.ports)
            redis, limiter = monitor_of(stores.redis), stores.limits.limiter
            sources = wiring.sources(redis, stores.fleet.details, budgets=limiter, recheck=recheck)
            sender = webhook_sender(configuration, stores, meter, dispatcher)
            sources = replace(sources, **of_library(library), webhooks=lambda: sender.problems if sender else ())
            health = Health(pod=settings.pod, version=VERSION, sources=sources)
            export(meter, health, chat, pool)
            export_parts(meter, stores, tracing, wiring.authentication, registry.cache)
            directory = TaskDirectory(tasks, stores.redis, stores.process)
            running: list[Lasting] = [
                *((TaskKind.CREDENTIALS, wiring.authentication.watch), (TaskKind.MONITORING, sources.heartbeat.run)),
                *((TaskKind.UPSTREAMS, sources.upstreams.run), (TaskKind.MONITORING, sources.tokens.run)),
                *((TaskKind.USAGE, sources.usage.run), (TaskKind.TRACES, tracing.run)),
                *of_knowledge(library, stores, wiring.ports),
            ]
            if sources.redis is not None:
                running.append((TaskKind.REDIS, sources.redis.run))
            if fleet_events is not None:
                supervising = partial(supervise, stores.fleet, pool, chat.takeover.produce)
                running += of_fleet(supervising, fleet_events, directory)
            if sender is not None and stores.redis is not None:
                running.append((TaskKind.WEBHOOKS, sender.run))
                running.append((TaskKind.UPSTREAMS, registry.join(stores.redis, stores.process).run))
            running += [*of_archive(stores.archive), *of_limits(stores.limits.together)]
            if (file := settings.config_file) is not None:
                running.append((TaskKind.CONFIGURATION, lambda: configuration.watch(file)))
            async with (
                background(*(tasks.lasting(*each) for each in running)),
                open_key_uses(stores.redis, authentication) as uses,
                budget_warnings(stores, dispatcher),
            ):
                yield Services(
                    *(configuration, wiring.web(chat), health, wiring.lifecycle, pool, stores.log, meter),
                    *(wiring.authentication, uses, stores.redis, stores.sessions, dispatcher, fleet_events, directory),
                )


def _wiring(  # noqa: PLR0913, PLR0917  # all parts of a pod
    configuration: Configuration,
    authentication: Authentication,
    stores: Stores,
    meter: Meter,
    tracing: Tracing,
    tools: McpServers,
    watched: tuple[Dispatcher, Tasks],
) -> Wiring:
    ports = ChatPorts(
        catalogue=configuration.live_catalogue,
        pool=RunPool(stores.log, stores.fleet, configuration.live.map(lambda live: live.streaming)),
        log=stores.log,
        fleet=stores.fleet,
        sessions=stores.sessions,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        new_id=_new_id,
        meter=meter,
        on_busy=configuration.live.map(lambda live: live.conversations.on_busy),
        window=configuration.live.map(lambda live: window_of(live.conversations)),
        room=configuration.live.map(lambda live: room_of(live.conversations)),
        attaching=attaching_of(configuration.live),
        title_model=configuration.live.map(lambda live: live.conversations.title_model),
        ledger=stores.ledger,
        tracer=tracing.tracer,
        seams=Seams(
            accounting=accounting(configuration.live, stores, meter),
            limits=stores.limits.limiter,
            announcer=announcer(stores.outbox, stores.presence),
            dispatcher=watched[0],
            tasks=watched[1],
            steps=AgentSteps(ToolSteps(configuration.live_catalogue, tools)),
        ),
    )
    return Wiring(
        configuration=configuration,
        ports=ports,
        feedback=stores.feedback,
        announce=no_webhooks if stores.outbox is None else stores.outbox.put,
        archive=lambda: stores.archive.state if stores.archive else None,
        meter=meter,
        lifecycle=Lifecycle(time.monotonic),
        authentication=authentication,
        uniform=random.uniform,
        version=VERSION,
        redis=stores.redis,
        presence=stores.presence,
    )


def _new_id() -> str:
    return str(uuid7())
