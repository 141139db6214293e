"""The metrics of the metrics API server, behind verbs."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from chatfleet_contract import metrics
from chatfleet_metrics.apiserver.registration import Ownership

_REGISTERED: Final = {Ownership.OURS: 1, Ownership.ABSENT: 0, Ownership.FOREIGN: -1}


class Telemetry:
    """Labels are outcomes, statuses and the two versions of the group."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._scrapes = Counter(
            metrics.METRICS_APISERVER_SCRAPES_TOTAL, "Scrapes of pods, by outcome.", ["outcome"], registry=registry
        )
        self._seconds = Gauge(
            metrics.METRICS_APISERVER_SCRAPE_CYCLE_DURATION_SECONDS,
            "Duration of the last scrape cycle; if it exceeds the period, raise the period.",
            registry=registry,
        )
        self._pods = Gauge(metrics.METRICS_APISERVER_PODS, "Pods in the last scrape cycle.", registry=registry)
        self._requests = Counter(
            metrics.METRICS_APISERVER_REQUESTS_TOTAL, "Requests, by status.", ["status"], registry=registry
        )
        self._writes = Counter(
            metrics.METRICS_APISERVER_API_WRITES_TOTAL,
            "Writes that the API server accepted.",
            ["verb", "kind"],
            registry=registry,
        )
        self._registered = Gauge(
            metrics.METRICS_APISERVER_REGISTERED,
            "Owner of the APIService: 1 this server, 0 none, -1 another server.",
            ["version"],
            registry=registry,
        )

    def scraped(self, outcome: str) -> None:
        self._scrapes.labels(outcome).inc()

    def cycle_finished(self, pods: int, seconds: float) -> None:
        self._pods.set(pods)
        self._seconds.set(seconds)

    def responded(self, status: int) -> None:
        self._requests.labels(str(status)).inc()

    def wrote(self, verb: str, kind: str) -> None:
        """Count a write that the API server accepted; TokenReviews and SubjectAccessReviews are writes."""
        self._writes.labels(verb, kind).inc()

    def registered(self, version: str, ownership: Ownership) -> None:
        self._registered.labels(version).set(_REGISTERED[ownership])
