"""A pod without a server: all of its real parts, in memory, with a provider and a clock of the test's own."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from starlette.types import ASGIApp

from chatfleet_api.chat.accounting import Accounting
from chatfleet_api.chat.attaching import Attaching, Fetch, fetch_nothing
from chatfleet_api.chat.room import room_of
from chatfleet_api.chat.window import window_of
from chatfleet_api.domain.dispatch import Dispatcher
from chatfleet_api.domain.tasks import Tasks
from chatfleet_api.domain.trace import Tracer
from chatfleet_api.identity.authentication import open_authentication
from chatfleet_api.identity.jose import KeySet
from chatfleet_api.limits.limiter import Limiter
from chatfleet_api.limits.terms import Terms
from chatfleet_api.pod.configuration import Configuration, local
from chatfleet_api.pod.health import Health
from chatfleet_api.pod.lifecycle import Lifecycle
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.probes import health_routes
from chatfleet_api.pod.services import Wiring
from chatfleet_api.providers.provider import Provider
from chatfleet_api.runs.fleet.single_pod import SinglePodFleet
from chatfleet_api.runs.log.memory import MemoryRunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.sessions.memory_feedback import MemoryFeedbackStore
from chatfleet_api.usage.memory_ledger import MemoryLedger
from chatfleet_api.usage.price_book import live_prices
from chatfleet_api.web.app import create_app
from chatfleet_api.webhooks.outbox import no_webhooks
from chatfleet_contract.spec import Streaming
from chatfleet_contract.spec.jwt import JWTIssuer
from harness.pods.issuer import Issuer
from harness.pods.live import fixed
from harness.pods.runs import Chat, loop_clock, make_chat
from harness.upstream.catalogue import registry_of

VERSION: Final = "1.2.3"
HEARTBEAT_SECONDS: Final = Streaming().heartbeat_seconds


class Pod:
    """The application of a pod whose one model, `m`, is answered by `provider`."""

    def __init__(
        self,
        provider: Provider,
        *,
        capacity: int = 10,
        tracer: Tracer | None = None,
        fetch: Fetch = fetch_nothing,
    ) -> None:
        self.meter = Meter(VERSION)
        self.issuers: dict[str, Issuer] = {}
        self.now = datetime(2026, 1, 2, tzinfo=UTC)
        self.configuration = configuration = Configuration(local(), build=registry_of(self.meter).catalogue)
        self.change("streaming", max_streams_per_pod=capacity, log_ttl_seconds=60)
        streaming = configuration.live.map(lambda live: live.streaming)
        log = MemoryRunLog(streaming, clock=loop_clock)
        self.pool = RunPool(log, SinglePodFleet(), streaming)
        sessions = MemorySessionStore(configuration.live.map(lambda live: live.conversations), clock=loop_clock)
        on_busy = configuration.live.map(lambda live: live.conversations.on_busy)
        in_memory = make_chat(provider, log=log, sessions=sessions, pool=self.pool).ports
        self.ledger = MemoryLedger()
        accounting = Accounting(
            ledger=self.ledger, prices=live_prices(configuration.live), now=lambda: self.now, meter=self.meter
        )
        limits = configuration.live.map(lambda live: live.limits)
        self.authentication = open_authentication(
            configuration.live.map(lambda live: live.access),
            self._keys_of,
            now=lambda: self.now,
            clock=loop_clock,
        )
        terms = Terms(limits, self.authentication.limits, accounting.prices, lambda: self.now)
        self.limiter = Limiter(terms, None, pods=lambda: 1, clock=loop_clock, new_id=in_memory.new_id)
        self.dispatcher = Dispatcher("pod-1", now=lambda: self.now, dropped=self.meter.event_dropped)
        self.tasks = Tasks("pod-1", now=lambda: self.now, new_id=in_memory.new_id)
        seams = replace(
            in_memory.seams, accounting=accounting, limits=self.limiter, dispatcher=self.dispatcher, tasks=self.tasks
        )
        ports = replace(in_memory, seams=seams, ledger=self.ledger, meter=self.meter, on_busy=on_busy)
        window = configuration.live.map(lambda live: window_of(live.conversations))
        room = configuration.live.map(lambda live: room_of(live.conversations))
        ports = replace(ports, tracer=fixed(tracer), window=window, room=room)
        title_model = configuration.live.map(lambda live: live.conversations.title_model)
        bounds = configuration.live.map(lambda live: live.conversations.attachments)
        attaching = Attaching(bounds=bounds, fetch=fetch)
        self.chat = Chat(replace(ports, title_model=title_model, attaching=attaching))
        self.lifecycle = Lifecycle(loop_clock)
        wiring = Wiring(
            configuration=configuration,
            ports=self.chat.ports,
            feedback=MemoryFeedbackStore(sessions),
            announce=no_webhooks,
            meter=self.meter,
            lifecycle=self.lifecycle,
            authentication=self.authentication,
            uniform=lambda low, _: low,
            version=VERSION,
        )
        sources = wiring.sources(budgets=self.limiter, recheck=asyncio.Event())
        self.health = Health(pod="pod-1", version=VERSION, sources=sources)
        self.services = wiring.web(self.chat.services)
        self.app: ASGIApp = create_app(self.services, routers=[health_routes(self.health, self.meter)])

    async def _keys_of(self, settings: JWTIssuer) -> KeySet:
        return self.issuers[settings.issuer].published()

    def refresh_keys(self) -> None:
        """Look at the files of the API keys now, and not within a second."""
        self.authentication.refresh()

    def change(self, part: str, **fields: Any) -> None:  # noqa: ANN401  # fields of any part
        """Serve a configuration with other `fields` of `part`, as when the operator writes the ConfigMap anew.

        Values are not validated: a test may have limits that a ChatDeployment cannot have.
        """
        current = self.configuration.current
        assert fields.keys() <= type(getattr(current, part)).model_fields.keys()
        changed = getattr(current, part).model_copy(update=fields)
        self.configuration.replace(current.model_copy(update={part: changed}))
