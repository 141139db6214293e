"""The report of a pod: `GET /health` for the operator, `GET /health/detailed` for people."""

from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from chatfleet_contract.parts import Part

MAX_REPORTED_MODELS: Final = 64
MAX_ACCESS_ERRORS: Final = 8
MAX_KNOWLEDGE_ERRORS: Final = 8


class State(StrEnum):
    """Last observed state of a dependency."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Dependency(Part):
    """A dependency of a pod: Redis, an upstream, or another server."""

    state: State
    message: str | None = None
    """Human-readable cause, or what is not proven of a state that is up; contains no secret."""


class ModelOutcome(Part):
    """What the newest requests for a model, or a check by its name, have shown of it."""

    provider: str = ""
    state: State
    """Up: the newest request was answered. Down: requests fail."""
    message: str | None = None
    """The vendor's own words; contains no secret."""
    seconds: float = 0
    """Since the newest request."""
    failing_seconds: float | None = None
    """Down: since the first of the failures in a row."""


class ReportedUsage(Part):
    """What all answers of one day have used, of the whole ChatDeployment: every pod reads the same sums."""

    day: str
    """UTC."""
    input_tokens: int = Field(0, ge=0)
    output_tokens: int = Field(0, ge=0)
    cost_usd: str | None = Field(None, alias="costUSD")
    """A decimal number; None: no price is known."""


class PodReport(Part):
    """The state of one pod, including its dependencies, on which readiness and liveness do not depend."""

    pod: str
    version: str
    config: str
    """Digest of the runtime configuration that the pod serves (`RuntimeConfig.digest`)."""
    config_error: str | None = None
    """Why the newest runtime configuration was rejected; the pod still serves the previous one."""
    authenticates: bool = False
    """Whether the pod refuses callers without a valid credential; an older pod cannot."""
    access_errors: tuple[str, ...] = ()
    """Which API keys or issuers cannot be used, and why; contains no key. `MAX_ACCESS_ERRORS` at most."""
    knowledge_errors: tuple[str, ...] = ()
    """Which documents are missing or cannot be used, and why. `MAX_KNOWLEDGE_ERRORS` at most."""
    unpriced_models: tuple[str, ...] = ()
    """Models that are refused where a budget in USD applies: their prices, or those of a fallback, are not known."""
    webhook_errors: tuple[str, ...] = ()
    """Which webhooks do not accept events, and why, as the pod that sends has seen. `MAX_WEBHOOKS` at most."""
    test_routes: bool = False
    """Whether the pod answers `/test/*`."""
    draining: bool = False
    active_streams: int = Field(0, ge=0)
    max_streams: int = Field(0, ge=0)
    tokens_per_second: float | None = Field(None, ge=0)
    """Input and output tokens per second over the last seconds. None: unknown."""
    usage: ReportedUsage | None = None
    """Of today; None: it is not known yet."""
    budget_used: float | None = Field(None, ge=0, le=1)
    """Used and reserved part of `limits.budget`, of its amount that has least left. None: it is not known."""
    redis: Dependency | None = None
    """None: the pod stores everything in memory."""
    archive: Dependency | None = None
    """The PostgreSQL of the archive. None: there is none, or it is not known yet."""
    chromadb: Dependency | None = None
    """All collections of ChromaDB that models answer from. None: there is none."""
    redis_url_error: str | None = None
    """Why the URL of Redis in its Secret cannot be used, also while the pod still uses the previous one."""
    upstreams: dict[str, Dependency] = Field(default_factory=dict)
    """By name of the provider."""
    models: dict[str, ModelOutcome] = Field(default_factory=dict)
    """By name of the model, if something is known of it: `MAX_REPORTED_MODELS` at most, unavailable ones first."""


class CircuitState(StrEnum):
    """State of a circuit breaker: requests pass, fail at once, or pass one at a time as probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class UpstreamTraffic(Part):
    """Current traffic of this pod to one upstream."""

    circuit: CircuitState
    circuit_open_seconds: float = 0
    """Seconds until an open circuit breaker lets a probe pass."""
    retries_left: float
    """Retries left in the retry budget."""
    active_requests: int
    max_concurrent_requests: int
    queued: int
    """Requests that wait for a free slot."""


class UpstreamDetails(Part):
    """One upstream, as observed by this pod."""

    seen: Dependency
    checked_seconds_ago: float | None = None
    """Age of the last check; None: not checked yet."""
    traffic: UpstreamTraffic | None = None


class RunDetails(Part):
    """The runs of this pod."""

    active: int
    max_streams: int
    taken_over: int
    """Runs taken over from other pods since the start."""
    handed_over: int
    """Runs handed over to other pods during shutdown."""


class FleetDetails(Part):
    """The pods that share a Redis, as observed by this pod."""

    member: str
    """Unique name of this process in the fleet; the owner in records of runs."""
    pods: int
    """Live pods, including this one."""
    last_heartbeat_seconds_ago: float
    """Age of the last heartbeat of this pod that Redis accepted."""


class ComponentState(StrEnum):
    """State of a part that a pod can do without, or not have at all."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    """It was not checked yet."""
    UNUSED = "unused"
    """The configuration has none."""


class ComponentHealth(Part):
    """One component, as `GET /health/<component>` shows it."""

    component: str
    state: ComponentState
    message: str | None = None
    """Human-readable cause, or what is not proven of a state that is up; contains no secret."""
    latency_milliseconds: float | None = None
    """How long the last check took. None: there was none."""
    since: str | None = None
    """When it got into this state: RFC 3339, UTC."""


class PodDetails(Part):
    """The complete state of a pod, for debugging."""

    report: PodReport
    upstreams: dict[str, UpstreamDetails] = Field(default_factory=dict)
    """By name of the provider."""
    collections: tuple[ComponentHealth, ...] = ()
    """Those of ChromaDB, by `<tenant>/<database>/<collection>`."""
    runs: RunDetails
    fleet: FleetDetails | None = None
    """None: the pod stores everything in memory."""


class SimpleHealth(Part):
    """Whether a pod takes requests, in one word, and why not."""

    status: Literal["ok", "unavailable"]
    message: str | None = None
