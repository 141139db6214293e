"""Who serves the metrics of pods, as a value."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class MetricsAPIServer:
    """The Deployment of our metrics API server, which has pods only while a ChatDeployment needs it."""

    namespace: str
    name: str
    replicas: int
    """Its pods while it is needed."""


@dataclass(frozen=True, slots=True)
class MetricsApi:
    """The server of custom.metrics.k8s.io."""

    served: bool
    """Whether there is one."""
    foreign: str = ""
    """Its Service if it is not ours; empty: it is ours, or there is none."""
    unavailable: str = ""
    """Why the API server cannot reach it, in its own words; empty: it can, or has not tried yet."""
    deployment: dict[str, Any] | None = field(default=None, hash=False)
    """That of our server, if it is needed, runs only then, and is not there; None: that does not matter."""

    @property
    def stopped(self) -> bool:
        """Whether our server is needed and has been scaled to no pods."""
        return self.deployment is not None and not self.deployment["spec"].get("replicas")
