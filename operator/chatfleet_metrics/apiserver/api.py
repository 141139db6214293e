"""What is asked for by path and query, and the document that answers: both versions of `custom.metrics.k8s.io`. Pure.

The horizontal pod autoscaler asks `/apis/custom.metrics.k8s.io/v1beta2/namespaces/NS/pods/*/METRIC?labelSelector=…`.
Pods without a fresh figure are left out, so the autoscaler knows that they are missing. There are no metrics of
anything but pods.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

from chatfleet_contract.names import METRICS_GROUP as GROUP
from chatfleet_contract.names import METRICS_VERSIONS as VERSIONS
from chatfleet_metrics.apiserver.selectors import BadSelector, Selector, parse_selector, selects
from chatfleet_metrics.figures.pods import Target
from chatfleet_metrics.figures.samples import SERVED, Reading
from chatfleet_operator.model.values import Manifest

ALL: Final = "*"
PODS: Final = "pods"


class Problem(Exception):  # noqa: N818  # the API's word is Status, which says less
    """The request cannot be answered; `document()` says so as the API server itself would."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    def document(self) -> Manifest:
        """Return the `Status` that a client of Kubernetes understands."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.status,
        }


class Figures(Protocol):
    """What is known of the pods."""

    def of(self, namespace: str) -> Mapping[str, Target]:
        """Return the pods of a namespace by name."""
        ...

    def reading(self, uid: str, metric: str) -> Reading | None:
        """Return a fresh figure of a pod; None: there is none."""
        ...


class Moment(NamedTuple):
    """Now, on the clock of the figures and as people tell it."""

    clock: float
    time: datetime

    def stamp(self, at: float) -> str:
        """Return the moment `at` of the figures' clock, as Kubernetes writes it."""
        return (self.time - timedelta(seconds=self.clock - at)).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Question(NamedTuple):
    """A request for metrics."""

    version: str
    namespace: str
    name: str
    metric: str
    pods: Selector
    series: Selector


def answer(path: str, query: Mapping[str, str], figures: Figures, now: Moment) -> Manifest:
    """Return the document at `path`; raises Problem."""
    match path.strip("/").split("/"):
        case ["apis", group] if group == GROUP:
            return _group()
        case ["apis", group, version] if (group, version) in _GROUP_VERSIONS:
            return _resources(version)
        case ["apis", group, version, "namespaces", namespace, resource, name, metric] if (
            (group, version) in _GROUP_VERSIONS and resource == PODS and metric in SERVED
        ):
            return _values(_question(version, (namespace, name, metric), query), figures, now)
        case ["apis", group, version, *_, metric] if (group, version) in _GROUP_VERSIONS and metric not in SERVED:
            raise Problem(404, "NotFound", f"there is no metric {metric}; there is {', '.join(SERVED)}")
        case _:
            raise Problem(404, "NotFound", "there is nothing here; metrics are of pods in namespaces")


_GROUP_VERSIONS: Final = frozenset((GROUP, version) for version in VERSIONS)


def _group() -> Manifest:
    versions = [{"groupVersion": f"{GROUP}/{version}", "version": version} for version in VERSIONS]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def _resources(version: str) -> Manifest:
    kinds = {"singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]}
    resources = [{"name": f"{PODS}/{metric}", **kinds} for metric in SERVED]
    group_version = f"{GROUP}/{version}"
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _question(version: str, subject: tuple[str, str, str], query: Mapping[str, str]) -> _Question:
    try:
        pods, series = (parse_selector(query.get(name, "")) for name in ("labelSelector", "metricLabelSelector"))
    except BadSelector as error:
        raise Problem(400, "BadRequest", str(error)) from error
    return _Question(version, *subject, pods, series)


def _values(asked: _Question, figures: Figures, now: Moment) -> Manifest:
    pods = figures.of(asked.namespace)
    if asked.name == ALL:
        chosen = [pod for pod in pods.values() if selects(asked.pods, pod.labels)]
    else:
        chosen = [pods[asked.name]] if asked.name in pods else []
    readings = ((pod, figures.reading(pod.uid, asked.metric)) for pod in chosen if selects(asked.series, {}))
    items = [_item(asked, pod, reading, now) for pod, reading in readings if reading]
    if not items and asked.name != ALL:
        raise Problem(404, "NotFound", f"there is no fresh {asked.metric} of the pod {asked.namespace}/{asked.name}")
    return {"kind": "MetricValueList", "apiVersion": f"{GROUP}/{asked.version}", "metadata": {}, "items": items}


def _item(asked: _Question, pod: Target, reading: Reading, now: Moment) -> Manifest:
    described = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "apiVersion": "v1"}
    common = {"describedObject": described, "timestamp": now.stamp(reading.at), "value": quantity(reading.value)}
    if asked.version == "v1beta1":
        return {**common, "metricName": asked.metric, "window": reading.window, "selector": None}
    return {**common, "metric": {"name": asked.metric, "selector": None}, "windowSeconds": reading.window}


def quantity(value: float) -> str:
    """Return `value` in Kubernetes' notation, to the thousandth: the autoscaler counts in these."""
    thousandths = round(value * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
