"""The operator's logs, which name their object, and its metrics, behind verbs."""

import json
import logging
import sys
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from typing_extensions import override

from chatfleet_contract import metrics
from chatfleet_contract.logs import log_fields
from chatfleet_contract.metrics import METRICS
from chatfleet_contract.spec import LogFormat
from chatfleet_contract.status import ChatDeploymentStatus, ConditionStatus
from chatfleet_operator.model.conflict import Conflict
from chatfleet_operator.model.values import ObjectId, Ref

RECONCILE_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds."""

_STATUS_VALUES: Final = {ConditionStatus.TRUE: 1, ConditionStatus.FALSE: 0, ConditionStatus.UNKNOWN: -1}


class Telemetry:
    """The operator's metrics. Labels are kinds, verbs and, for conditions alone, the objects that exist and why."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)
        self._seconds = Histogram(
            *METRICS[metrics.RECONCILE_DURATION_SECONDS].arguments, buckets=RECONCILE_BUCKETS, registry=registry
        )

        def counter(name: str) -> Counter:
            return Counter(*METRICS[name].arguments, registry=registry)

        def gauge(name: str) -> Gauge:
            return Gauge(*METRICS[name].arguments, registry=registry)

        self._errors = counter(metrics.RECONCILE_ERRORS_TOTAL)
        self._writes = counter(metrics.API_WRITES_TOTAL)
        self._repairs = counter(metrics.DRIFT_REPAIRS_TOTAL)
        self._condition = gauge(metrics.CONDITION)
        self._depth = gauge(metrics.WORKQUEUE_DEPTH)
        self._age = gauge(metrics.WORKQUEUE_LONGEST_WAIT_SECONDS)
        self._watch = gauge(metrics.WATCH_EVENT_AGE_SECONDS)
        self._leader = gauge(metrics.LEADER)
        self._missed = counter(metrics.WATCH_EVENTS_MISSED_TOTAL)
        self._dropped = counter(metrics.EVENTS_DROPPED_TOTAL)
        self._conflict = gauge(metrics.CONFLICT)
        self._conflicts: dict[Ref, frozenset[tuple[str, str]]] = {}
        self._shown: dict[Ref, frozenset[tuple[str, str]]] = {}

    def queue(self, depth: int, age: float) -> None:
        self._depth.set(depth)
        self._age.set(age)

    def watch(self, age: float) -> None:
        """`age`: seconds since the last watch event."""
        self._watch.set(age)

    def missed_event(self) -> None:
        """Count a ChatDeployment for which there was no watch event: 0, unless watches are broken."""
        self._missed.inc()

    def dropped_event(self) -> None:
        """Count an Event that was not written: over the rate limit of its object, or refused."""
        self._dropped.inc()

    def reconciled(self, seconds: float, *, failed: bool) -> None:
        self._seconds.observe(seconds)
        if failed:
            self._errors.inc()

    def wrote(self, verb: str, kind: str) -> None:
        self._writes.labels(verb, kind).inc()

    def drift_repaired(self, drifted: frozenset[ObjectId]) -> None:
        for key in drifted:
            self._repairs.labels(key.kind).inc()

    def conflicts_reported(self, ref: Ref, conflicts: Sequence[Conflict]) -> None:
        known = frozenset((conflict.kind, str(conflict.writer)) for conflict in conflicts)
        before = self._conflicts.pop(ref, frozenset())
        for old in before - known:
            self._conflict.remove(*ref, *old)
        for which in known - before:
            self._conflict.labels(*ref, *which).set(1)
        if known:
            self._conflicts[ref] = known

    def conditions_reported(self, ref: Ref, status: ChatDeploymentStatus) -> None:
        known = {(condition.type, condition.reason): condition.status for condition in status.conditions or ()}
        for old in self._shown.get(ref, frozenset()) - known.keys():  # one reason at a time
            self._condition.remove(*ref, *old)
        for which, status_value in known.items():
            self._condition.labels(*ref, *which).set(_STATUS_VALUES[status_value])
        self._shown[ref] = frozenset(known)

    def removed(self, ref: Ref) -> None:
        """Drop the metrics of a deleted ChatDeployment."""
        for which in self._shown.pop(ref, frozenset()):
            self._condition.remove(*ref, *which)
        self.conflicts_reported(ref, ())

    def leading(self, *, leader: bool) -> None:
        self._leader.set(leader)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the object that it is about."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        about = getattr(record, "object", None)
        return json.dumps(log_fields(record, {"object": str(about)} if about else {}), ensure_ascii=False)


class TextFormatter(logging.Formatter):
    @override
    def format(self, record: logging.LogRecord) -> str:
        about = getattr(record, "object", None)
        return f"{super().format(record)} ({about})" if about else super().format(record)


def set_up_logging(level: str, style: LogFormat) -> None:
    """Send all log lines to standard error in `style`."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if style is LogFormat.JSON else text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("kopf").setLevel(logging.WARNING)  # it logs every event; we log reconciliations
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it warns about signals, which are ours
