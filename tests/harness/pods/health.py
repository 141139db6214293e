"""The parts that a pod's health is read from, for tests to set."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from chatfleet_api.identity.authentication import open_authentication
from chatfleet_api.pod.configuration import Configuration, local
from chatfleet_api.pod.day_usage import DayUsage
from chatfleet_api.pod.health import Health, Sources
from chatfleet_api.pod.lifecycle import Lifecycle, Phase
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.monitors import LoopHeartbeat, RedisMonitor, UpstreamMonitor
from chatfleet_api.pod.token_rate import TokenRate
from chatfleet_api.usage.memory_ledger import MemoryLedger
from chatfleet_contract.report import ComponentHealth, Dependency, ModelOutcome, UpstreamTraffic
from chatfleet_contract.runtime import RuntimeAccess
from chatfleet_contract.spec import Streaming
from harness.clock import ManualClock
from harness.pods.issuer import no_issuers
from harness.pods.live import fixed
from harness.upstream.catalogue import registry_of


class NoBudgets:
    """A pod without budgets."""

    def fleet_budget_used(self) -> None:
        return None

    def unpriced_models(self) -> tuple[str, ...]:
        return ()


class FakeLoad:
    """Open streams, as a test sets them."""

    active = 0
    taken_over = 0
    handed_over = 0


class FakeUpstreams:
    """Upstreams whose state a test sets."""

    def __init__(self) -> None:
        self.seen: Mapping[str, Dependency] = {}
        self.now: Mapping[str, UpstreamTraffic] = {}
        self.models: Mapping[str, ModelOutcome] = {}
        self.checks = 0

    async def check(self) -> Mapping[str, Dependency]:
        self.checks += 1
        return self.seen

    def check_subjects(self) -> Mapping[str, object]:
        return dict.fromkeys(self.seen)

    def outcomes(self) -> Mapping[str, ModelOutcome]:
        return self.models

    def traffic(self) -> Mapping[str, UpstreamTraffic]:
        return self.now


class HealthOf:
    """A pod's health, and all that it is read from."""

    def __init__(self, clock: Callable[[], float] | None = None, *, max_streams: int = 10) -> None:
        self.clock = clock or ManualClock()
        self.load = FakeLoad()
        self.fake_upstreams = FakeUpstreams()
        self.lifecycle = Lifecycle(self.clock)
        self.heartbeat = LoopHeartbeat(self.load, clock=self.clock)
        self.redis = RedisMonitor(_answers, clock=self.clock, now=lambda: datetime(2026, 1, 2, tzinfo=UTC))
        self.archive: Dependency | None = None
        self.collections: tuple[ComponentHealth, ...] = ()
        self.recheck = asyncio.Event()
        self.upstreams = UpstreamMonitor(
            fixed(self.fake_upstreams),
            clock=self.clock,
            rand=lambda low, high: (low + high) / 2,
            recheck=self.recheck,
        )
        self.ledger = MemoryLedger()
        self.usage = DayUsage(self.ledger.totals, now=lambda: datetime(2026, 1, 2, tzinfo=UTC))
        streaming = Streaming(max_streams_per_pod=max_streams)
        sources = Sources(
            configuration=Configuration(local(), build=registry_of(Meter("tests")).catalogue),
            streaming=fixed(streaming),
            lifecycle=self.lifecycle,
            heartbeat=self.heartbeat,
            upstreams=self.upstreams,
            tokens=TokenRate(lambda: 0, clock=self.clock),
            run_counters=self.load,
            authentication=open_authentication(
                fixed(RuntimeAccess()), no_issuers, now=lambda: datetime.now(UTC), clock=time.monotonic
            ),
            usage=self.usage,
            budgets=NoBudgets(),
            redis=self.redis,
            archive=lambda: self.archive,
            collections=lambda: self.collections,
        )
        self.health = Health(pod="p-1", version="1.2.3", sources=sources)

    def serve(self, *, active: int = 3) -> Health:
        """Listen, and have `active` streams open at the last heartbeat."""
        self.lifecycle.enter(Phase.SERVING)
        self.load.active = active
        self.heartbeat.record()
        return self.health


async def _answers() -> None:
    """Redis is there."""
