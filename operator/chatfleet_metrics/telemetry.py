"""What the adapter tells about itself, as metrics behind verbs."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from chatfleet_contract import metrics
from chatfleet_metrics.apiserver.registration import Standing

_STANDING: Final = {Standing.OURS: 1, Standing.ABSENT: 0, Standing.FOREIGN: -1}


class Telemetry:
    """The adapter's metrics. Labels are outcomes, statuses and the two versions of the group."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._scrapes = Counter(
            metrics.METRICS_APISERVER_SCRAPES_TOTAL, "Scrapes of pods, by outcome.", ["outcome"], registry=registry
        )
        self._seconds = Gauge(
            metrics.METRICS_APISERVER_SCRAPE_CYCLE_DURATION_SECONDS,
            "Duration of the last round; longer than the period: raise it.",
            registry=registry,
        )
        self._pods = Gauge(metrics.METRICS_APISERVER_PODS, "Pods in the last round.", registry=registry)
        self._requests = Counter(
            metrics.METRICS_APISERVER_REQUESTS_TOTAL, "Requests answered, by status.", ["status"], registry=registry
        )
        self._writes = Counter(
            metrics.METRICS_APISERVER_API_WRITES_TOTAL,
            "Writes that the API server accepted.",
            ["verb", "kind"],
            registry=registry,
        )
        self._registered = Gauge(
            metrics.METRICS_APISERVER_REGISTERED,
            "Whose the APIService is: 1 ours, 0 nobody's, -1 somebody else's.",
            ["version"],
            registry=registry,
        )

    def scraped(self, outcome: str) -> None:
        """Count a scrape."""
        self._scrapes.labels(outcome).inc()

    def round(self, pods: int, seconds: float) -> None:
        """Show the last round: how many pods there were, and how long it took."""
        self._pods.set(pods)
        self._seconds.set(seconds)

    def answered(self, status: int) -> None:
        """Count a request that was answered."""
        self._requests.labels(str(status)).inc()

    def wrote(self, verb: str, kind: str) -> None:
        """Count a write that the API server accepted; a review of a caller is one for it."""
        self._writes.labels(verb, kind).inc()

    def registered(self, version: str, standing: Standing) -> None:
        """Show whose a version of the group is."""
        self._registered.labels(version).set(_STANDING[standing])
