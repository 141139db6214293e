"""The documents of `custom.metrics.k8s.io`, both versions, from a path and a query. Pure.

The HorizontalPodAutoscaler requests `/apis/custom.metrics.k8s.io/v1beta2/namespaces/NS/pods/*/METRIC?labelSelector=…`.
The list omits pods without a fresh sample, so that the autoscaler treats them as missing. Only pods have metrics.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

from chatfleet_contract.names import METRICS_GROUP as GROUP
from chatfleet_contract.names import METRICS_VERSIONS as VERSIONS
from chatfleet_metrics.apiserver.selectors import BadSelector, Selector, parse_selector, selects
from chatfleet_metrics.samples.pods import Target
from chatfleet_metrics.samples.sample import SERVED, MetricValue
from chatfleet_operator.model.values import Manifest

ALL: Final = "*"
PODS: Final = "pods"


class StatusError(Exception):
    """The request fails with this `Status` of the Kubernetes API."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    def document(self) -> Manifest:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.status,
        }


class MetricSource(Protocol):
    """The pods and the values of their metrics."""

    def in_namespace(self, namespace: str) -> Mapping[str, Target]:
        """Return the pods of a namespace by name."""
        ...

    def value(self, uid: str, metric: str) -> MetricValue | None:
        """Return `metric` of a pod; None when there is no fresh sample."""
        ...


class Now(NamedTuple):
    """The current time, on the clock of the samples and as a date."""

    clock: float
    time: datetime

    def timestamp(self, at: float) -> str:
        """Return the time `at` of the samples' clock in Kubernetes' format."""
        return (self.time - timedelta(seconds=self.clock - at)).strftime("%Y-%m-%dT%H:%M:%SZ")


class _MetricRequest(NamedTuple):
    version: str
    namespace: str
    name: str
    metric: str
    pods: Selector
    series: Selector


def respond(path: str, query: Mapping[str, str], source: MetricSource, now: Now) -> Manifest:
    """Return the document at `path`; raises StatusError."""
    match path.strip("/").split("/"):
        case ["apis", group] if group == GROUP:
            return _group()
        case ["apis", group, version] if (group, version) in _GROUP_VERSIONS:
            return _resources(version)
        case ["apis", group, version, "namespaces", namespace, resource, name, metric] if (
            (group, version) in _GROUP_VERSIONS and resource == PODS and metric in SERVED
        ):
            return _values(_parse(version, (namespace, name, metric), query), source, now)
        case ["apis", group, version, *_, metric] if (group, version) in _GROUP_VERSIONS and metric not in SERVED:
            raise StatusError(
                404, "NotFound", f'the server could not find the metric "{metric}"; it serves {", ".join(SERVED)}'
            )
        case _:
            raise StatusError(
                404,
                "NotFound",
                "the server could not find the requested resource; it serves metrics of pods in namespaces only",
            )


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


def _parse(version: str, subject: tuple[str, str, str], query: Mapping[str, str]) -> _MetricRequest:
    try:
        pods, series = (parse_selector(query.get(name, "")) for name in ("labelSelector", "metricLabelSelector"))
    except BadSelector as error:
        raise StatusError(400, "BadRequest", str(error)) from error
    return _MetricRequest(version, *subject, pods, series)


def _values(request: _MetricRequest, source: MetricSource, now: Now) -> Manifest:
    pods = source.in_namespace(request.namespace)
    if request.name == ALL:
        chosen = [pod for pod in pods.values() if selects(request.pods, pod.labels)]
    else:
        chosen = [pods[request.name]] if request.name in pods else []
    values = ((pod, source.value(pod.uid, request.metric)) for pod in chosen if selects(request.series, {}))
    items = [_item(request, pod, value, now) for pod, value in values if value]
    if not items and request.name != ALL:
        raise StatusError(
            404,
            "NotFound",
            f'the server has no fresh sample of metric {request.metric} for pod "{request.namespace}/{request.name}"',
        )
    return {"kind": "MetricValueList", "apiVersion": f"{GROUP}/{request.version}", "metadata": {}, "items": items}


def _item(request: _MetricRequest, pod: Target, value: MetricValue, now: Now) -> Manifest:
    described = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "apiVersion": "v1"}
    common = {"describedObject": described, "timestamp": now.timestamp(value.at), "value": quantity(value.value)}
    if request.version == "v1beta1":
        return {**common, "metricName": request.metric, "window": value.window, "selector": None}
    return {**common, "metric": {"name": request.metric, "selector": None}, "windowSeconds": value.window}


def quantity(value: float) -> str:
    """Return `value` as a Kubernetes quantity in thousandths, the resolution of the autoscaler."""
    thousandths = round(value * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
