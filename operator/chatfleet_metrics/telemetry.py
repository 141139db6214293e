"""The metrics of the metrics API server, behind verbs."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from chatfleet_contract import metrics
from chatfleet_contract.metrics import METRICS
from chatfleet_metrics.apiserver.registration import Ownership

_REGISTERED: Final = {Ownership.OURS: 1, Ownership.ABSENT: 0, Ownership.FOREIGN: -1}


class Telemetry:
    """Labels are outcomes, statuses and the two versions of the group."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)

        def counter(name: str) -> Counter:
            return Counter(*METRICS[name].arguments, registry=registry)

        def gauge(name: str) -> Gauge:
            return Gauge(*METRICS[name].arguments, registry=registry)

        self._scrapes = counter(metrics.METRICS_APISERVER_SCRAPES_TOTAL)
        self._seconds = gauge(metrics.METRICS_APISERVER_SCRAPE_CYCLE_DURATION_SECONDS)
        self._pods = gauge(metrics.METRICS_APISERVER_PODS)
        self._requests = counter(metrics.METRICS_APISERVER_REQUESTS_TOTAL)
        self._writes = counter(metrics.METRICS_APISERVER_API_WRITES_TOTAL)
        self._registered = gauge(metrics.METRICS_APISERVER_REGISTERED)
        self._expiry = gauge(metrics.METRICS_APISERVER_CERTIFICATE_EXPIRY)

    def certificate(self, expiry: Callable[[], float]) -> None:
        """Export when the serving certificate expires, which each scrape reads."""
        self._expiry.set_function(expiry)

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
