"""A pod's probes and its report, read from its sources; it is built last and has no state of its own.

Liveness is the main loop's own heartbeat and readiness the pod's own affairs; neither depends on Redis or on an
upstream, for that would take all pods out at once. The thread that answers probes calls all of this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chatfleet_api.domain.live import Live
from chatfleet_api.pod.collections import CHROMADB, as_component, as_dependency
from chatfleet_api.pod.day_usage import DayUsage
from chatfleet_api.pod.lifecycle import Lifecycle
from chatfleet_api.pod.monitors import LoopHeartbeat, RedisMonitor, UpstreamMonitor
from chatfleet_api.pod.token_rate import TokenRate
from chatfleet_contract.report import (
    MAX_KNOWLEDGE_ERRORS,
    MAX_REPORTED_MODELS,
    ComponentHealth,
    ComponentState,
    Dependency,
    FleetDetails,
    PodDetails,
    PodReport,
    RunDetails,
    State,
    UpstreamDetails,
)
from chatfleet_contract.spec import Streaming


class ConfigurationState(Protocol):
    """The configuration that is being served."""

    digest: str
    error: str | None


class AuthenticationState(Protocol):
    """Whose requests are answered."""

    @property
    def required(self) -> bool:
        """Whether callers without a valid credential are refused."""
        ...

    @property
    def errors(self) -> tuple[str, ...]:
        """API keys that cannot be used, and why."""
        ...


class BudgetState(Protocol):
    """What the operator is to know of budgets."""

    def fleet_budget_used(self) -> float | None:
        """Return the used part of the budget of the ChatDeployment; None: it is not known."""
        ...

    def unpriced_models(self) -> tuple[str, ...]:
        """Return the models that a budget in USD refuses, because their prices are not known."""
        ...


class RunCounters(Protocol):
    """Runs that changed their pod."""

    taken_over: int
    handed_over: int


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a pod's health is read from."""

    configuration: ConfigurationState
    streaming: Live[Streaming]
    lifecycle: Lifecycle
    heartbeat: LoopHeartbeat
    upstreams: UpstreamMonitor
    tokens: TokenRate
    run_counters: RunCounters
    authentication: AuthenticationState
    usage: DayUsage
    budgets: BudgetState
    redis: RedisMonitor | None = None
    """None: everything is in memory."""
    fleet: Callable[[], FleetDetails | None] = lambda: None
    archive: Callable[[], Dependency | None] = lambda: None
    """The PostgreSQL of the archive; None: there is none."""
    knowledge: Callable[[], tuple[str, ...]] = tuple
    """Which documents are missing or cannot be used."""
    collections: Callable[[], tuple[ComponentHealth, ...]] = tuple
    """Those of ChromaDB that models answer from."""
    webhooks: Callable[[], tuple[str, ...]] = tuple
    """Which webhooks do not accept events."""
    test_routes: Callable[[], bool] = bool
    """Whether `/test/*` is answered."""


class Health:
    def __init__(self, *, pod: str, version: str, sources: Sources) -> None:
        self._pod = pod
        self._version = version
        self._sources = sources

    @property
    def active(self) -> int:
        return self._sources.heartbeat.active

    @property
    def loop_lag(self) -> float:
        """Seconds by which the last heartbeat of the main loop was late."""
        return self._sources.heartbeat.lag

    @property
    def max_streams(self) -> int:
        """`streaming.maxStreamsPerPod`."""
        return self._sources.streaming().max_streams_per_pod

    def not_live(self) -> str | None:
        """Return why this process should be restarted, None when it should not."""
        return self._sources.heartbeat.stuck()

    def not_ready(self) -> str | None:
        """Return why this pod should get no new requests, None when it should get them."""
        if reason := self._sources.lifecycle.not_ready():
            return reason
        return f"all {self.max_streams} streams are in use" if self.active >= self.max_streams else None

    def not_started(self) -> str | None:
        """Return why this pod has not started yet, None when it has."""
        return self._sources.lifecycle.not_started()

    def report(self) -> PodReport:
        """Return the pod's own account, which the operator and the metrics API server read."""
        sources = self._sources
        return PodReport(
            pod=self._pod,
            version=self._version,
            config=sources.configuration.digest,
            config_error=sources.configuration.error,
            authenticates=sources.authentication.required,
            access_errors=sources.authentication.errors,
            knowledge_errors=sources.knowledge()[:MAX_KNOWLEDGE_ERRORS],
            webhook_errors=sources.webhooks(),
            test_routes=sources.test_routes(),
            draining=sources.lifecycle.terminating,
            active_streams=self.active,
            max_streams=self.max_streams,
            tokens_per_second=round(sources.tokens.per_second, 1),
            usage=sources.usage.reported,
            budget_used=sources.budgets.fleet_budget_used(),
            unpriced_models=sources.budgets.unpriced_models()[:MAX_REPORTED_MODELS],
            redis=None if sources.redis is None else sources.redis.state,
            archive=sources.archive(),
            chromadb=as_dependency(sources.collections()),
            redis_url_error=None if sources.redis is None else sources.redis.url_error,
            upstreams=dict(sources.upstreams.states()),
            models=dict(sources.upstreams.outcomes()),
        )

    def details(self) -> PodDetails:
        """Return the report with what helps a person to find a cause."""
        sources = self._sources
        traffic, checked = sources.upstreams.traffic(), sources.upstreams.seconds_since_check()
        upstreams = {
            name: UpstreamDetails(seen=seen, checked_seconds_ago=checked, traffic=traffic.get(name))
            for name, seen in sources.upstreams.states().items()
        }
        runs = RunDetails(
            active=self.active,
            max_streams=self.max_streams,
            taken_over=sources.run_counters.taken_over,
            handed_over=sources.run_counters.handed_over,
        )
        return PodDetails(
            report=self.report(),
            upstreams=upstreams,
            collections=sources.collections(),
            runs=runs,
            fleet=sources.fleet(),
        )

    def component(self, name: str) -> ComponentHealth:
        """Return the state of ChromaDB, of Redis, or of what stores conversations: Redis, or the memory of this pod."""
        if name == CHROMADB:
            return as_component(self._sources.collections())
        redis = self._sources.redis
        if redis is None:
            stored = "conversations are in the memory of this pod" if name == "storage" else None
            unused = ComponentState.UP if stored else ComponentState.UNUSED
            return ComponentHealth(component=name, state=unused, message=stored)
        return ComponentHealth(
            component=name,
            state=ComponentState(redis.state.state.value),
            message=self._behind_redis() if name == "storage" else redis.state.message,
            latency_milliseconds=None if redis.latency is None else round(redis.latency * 1000, 1),
            since=None if redis.since is None else redis.since.isoformat(timespec="milliseconds"),
        )

    def _behind_redis(self) -> str | None:
        """Return what is wrong with Redis, or else with the archive, which stops no request."""
        redis, archive = self._sources.redis, self._sources.archive()
        if redis is not None and redis.state.message:
            return redis.state.message
        return f"archive: {archive.message}" if archive is not None and archive.message else None

    def queued_upstream(self) -> int:
        """Return how many requests wait for a slot of an upstream."""
        return sum(upstream.queued for upstream in self._sources.upstreams.traffic().values())

    def redis_up(self) -> float:
        """Return 1 while Redis is available, or not used; else 0."""
        redis = self._sources.redis
        return float(redis is None or redis.state.state is State.UP)
