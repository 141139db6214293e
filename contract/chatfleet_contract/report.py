"""What a pod tells the operator (and people) about itself at `GET /health` on its health port."""

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
    stream_capacity: int = Field(0, ge=0)
    tokens_per_second: float | None = Field(None, ge=0)
    """Tokens a second sent to and got from upstreams, over the last seconds. None: not told."""
    redis: Dependency | None = None
    """None: this pod keeps everything in memory."""
    upstreams: dict[str, Dependency] = Field(default_factory=dict)
    """By provider's name."""
