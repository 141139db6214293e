"""What a pod tells the operator (`GET /health`) and people (`GET /health/detailed`) about itself on its health port."""

from enum import StrEnum

from pydantic import Field

from chatfleet_contract.parts import Part


class State(StrEnum):
    """How a thing that a pod depends on was last seen."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Dependency(Part):
    """One thing that a pod depends on."""

    state: State
    message: str | None = None
    """A sentence for people; never a secret."""


class PodReport(Part):
    """One pod's own account. Readiness and liveness do not depend on Redis or an upstream; this tells of them."""

    pod: str
    version: str
    config: str
    """Digest of the runtime configuration that is being served (`RuntimeConfig.digest`)."""
    config_error: str | None = None
    """Why the newest runtime configuration could not be taken; the one before is still served."""
    draining: bool = False
    active_streams: int = Field(0, ge=0)
    max_streams: int = Field(0, ge=0)
    tokens_per_second: float | None = Field(None, ge=0)
    """Tokens a second sent to and got from upstreams, over the last seconds. None: not told."""
    redis: Dependency | None = None
    """None: this pod keeps everything in memory."""
    upstreams: dict[str, Dependency] = Field(default_factory=dict)
    """By provider's name."""


class Breaker(StrEnum):
    """Whether an upstream is asked: yes, not for now, or one request at a time until one gets an answer."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Traffic(Part):
    """How this pod deals with one upstream just now."""

    breaker: Breaker
    circuit_open_seconds: float = 0
    """Seconds until an open breaker lets one request through."""
    retries_left: float
    """Of the retry budget."""
    calls: int
    calls_limit: int
    queued: int
    """Requests that wait for one of these calls to end."""


class UpstreamDetails(Part):
    """One upstream, as this pod sees it."""

    seen: Dependency
    checked_seconds_ago: float | None = None
    """Age of the last check; None: there was none yet."""
    traffic: Traffic | None = None


class RunDetails(Part):
    """What this pod works on."""

    active: int
    capacity: int
    taken_over: int
    """From other pods, since its start."""
    handed_over: int
    """To other pods, because it ends."""


class FleetDetails(Part):
    """The pods that share a Redis, as this one sees them."""

    member: str
    """This pod's name in the fleet, new with each process; what a record's owner is compared with."""
    pods: int
    """That live, this one included."""
    last_beat_seconds_ago: float
    """Age of this pod's last sign of life that Redis took."""


class PodDetails(Part):
    """All that a pod can tell of its own state."""

    report: PodReport
    upstreams: dict[str, UpstreamDetails] = Field(default_factory=dict)
    """By provider's name."""
    runs: RunDetails
    fleet: FleetDetails | None = None
    """None: this pod is alone, with everything in memory."""
