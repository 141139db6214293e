"""Who serves the metrics of pods, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricsApi:
    """The server of custom.metrics.k8s.io."""

    served: bool
    """Whether there is one."""
    foreign: str = ""
    """Its Service if it is not ours; empty: it is ours, or there is none."""
    unavailable: str = ""
    """Why the API server cannot reach it, in its own words; empty: it can, or has not tried yet."""
