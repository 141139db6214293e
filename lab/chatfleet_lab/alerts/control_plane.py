"""Operators and metrics API servers beside a real API server: what they export while they are well, and otherwise."""

import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from chatfleet_contract import metrics, names
from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.alerts.recording import Recording, target
from chatfleet_metrics.apiserver.certificates import LIFETIME
from harness.kube.controllers import operated_by
from harness.kube.kubectl import Kubectl
from harness.kube.metrics_apiserver_process import install, metrics_apiserver
from harness.kube.operator_process import ACCOUNT, OperatorProcess, operator
from harness.polling import eventually

LABELS: Final = MappingProxyType({"namespace": "chatfleet-system", "pod": "operator-0"})
SERVER: Final = MappingProxyType({"namespace": "chatfleet-system", "pod": "metrics-apiserver-0"})
RESYNC: Final = {"RESYNC_SECONDS": "2"}
OTHER: Final = {"NAMESPACE": "team-a", "LEADER_ELECTION": "false", "API_IMAGE": "example.com/api:theirs", **RESYNC}
"""An operator of another release, which serves the same namespaces."""
LEFT: Final = timedelta(days=20)
"""Validity that is left of a certificate which was not renewed."""


class Place:
    """An API server with its controllers and an operator that leads."""

    def __init__(self, folder: Path, kubectl: Kubectl, leader: OperatorProcess) -> None:
        self.folder, self.kubectl, self.leader = folder, kubectl, leader

    def apply(self, namespace: str, **spec: Any) -> None:  # noqa: ANN401  # JSON
        """Apply a ChatDeployment in a namespace of its own."""
        head = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        whole = {
            "providers": [{"name": "scripted", "type": "scripted"}],
            "models": [{"name": "default", "provider": "scripted", "model": "echo"}],
            "redis": {"managed": {}},
            "access": {"anonymous": True},
            **spec,
        }
        metadata = {"name": "support", "namespace": namespace}
        made = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": whole}
        self.kubectl.apply(yaml.safe_dump_all([head, made]))

    def delete(self, namespace: str) -> None:
        """Delete it, and wait until no metric of it is left."""
        self.kubectl("delete", names.SINGULAR, "support", "-n", namespace)
        eventually(lambda: f'namespace="{namespace}"' not in _of(self.leader), seconds=60)

    def until(self, condition: ConditionType, reason: Reason) -> None:
        """Wait for a condition of a ChatDeployment in the operator's metrics."""
        shown = {"type": condition.value, "reason": reason.value}
        eventually(lambda: f'reason="{shown["reason"]}",type="{shown["type"]}"' in _of(self.leader), seconds=60)


def _of(process: OperatorProcess) -> str:
    return process.get(names.PATH_METRICS)[1]


def _recording(*processes: tuple[OperatorProcess, Mapping[str, str]]) -> Recording:
    texts = [(_of(process), labels) for process, labels in processes]
    return Recording(time.time(), tuple(target("", text, **labels) for text, labels in texts))


def leading(place: Place) -> Recording:
    """Lead, with a ChatDeployment that is suspended."""
    place.apply("calm", suspend=True)
    place.until(ConditionType.AVAILABLE, Reason.SUSPENDED)
    recording = _recording((place.leader, LABELS))
    place.delete("calm")
    return recording


def unavailable(place: Place) -> Recording:
    """Reconcile a ChatDeployment whose pods do not start, and that scales by an autoscaler that there is not."""
    keda = {"source": "keda", "keda": {"prometheusURL": "http://prometheus"}, "maxReplicas": 9}
    place.apply("lost", autoscaling=keda)
    place.until(ConditionType.AUTOSCALING_ACTIVE, Reason.KEDA_NOT_INSTALLED)
    recording = _recording((place.leader, LABELS))
    place.delete("lost")
    return recording


def conflict(place: Place) -> Recording:
    """Reconcile a ChatDeployment of which another operator writes the children, too."""
    place.apply("torn", suspend=True)
    annotation = f"{names.ANNOTATION_TEMPLATE_REVISION}={names.REVISION_LATEST}"
    place.kubectl("annotate", names.SINGULAR, "support", "-n", "torn", annotation)
    kubeconfig = place.folder / f"{ACCOUNT}.kubeconfig"
    with operator(kubeconfig, place.folder / "other.log", {**OTHER, "NAMESPACES": "torn"}):
        eventually(lambda: place.leader.metric(metrics.CONFLICT) >= 1, seconds=120)
        recording = _recording((place.leader, LABELS))
    place.delete("torn")
    return recording


def standby(place: Place) -> Recording:
    """Wait for the Lease of another."""
    kubeconfig = place.folder / f"{ACCOUNT}.kubeconfig"
    with operator(kubeconfig, place.folder / "standby.log", {"POD_NAME": "operator-1", **RESYNC}) as waiting:
        return _recording((waiting, LABELS))


def registered(place: Place) -> Recording:
    """Serve metrics."""
    with _server(place, "registered") as server:
        eventually(lambda: server.metric(metrics.METRICS_APISERVER_REGISTERED) >= 1, seconds=60)
        return _recording((server, SERVER))


def expiring(place: Place) -> Recording:
    """Serve metrics with a certificate that was not renewed."""
    with _server(place, "expiring", LEFT - LIFETIME) as server:
        eventually(lambda: server.metric(metrics.METRICS_APISERVER_CERTIFICATE_EXPIRY) > 0, seconds=60)
        eventually(lambda: server.metric(metrics.METRICS_APISERVER_REGISTERED) >= 1, seconds=60)
        return _recording((server, SERVER))


def unregistered(place: Place) -> Recording:
    """Find another server registered."""
    service = {"name": "prometheus-adapter", "namespace": "monitoring"}
    for version in names.METRICS_VERSIONS:
        name = f"{version}.{names.METRICS_GROUP}"
        spec: dict[str, Any] = {
            "group": names.METRICS_GROUP,
            "version": version,
            "service": service,
            "insecureSkipTLSVerify": True,
        }
        spec |= {"groupPriorityMinimum": 100, "versionPriority": 100}
        head = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name}}
        place.kubectl("delete", "apiservice", name, "--ignore-not-found")
        place.kubectl.apply(yaml.safe_dump({**head, "spec": spec}))
    with _server(place, "unregistered") as server:
        eventually(lambda: server.metric(metrics.METRICS_APISERVER_REGISTERED) <= -1, seconds=60)
        return _recording((server, SERVER))


@contextmanager
def _server(place: Place, name: str, off_by: timedelta = timedelta()) -> Iterator[OperatorProcess]:
    """Run a metrics API server with a new certificate, whose clock is wrong by `off_by`."""
    kubeconfig = install(place.kubectl, place.folder)
    secret = ("secret", names.METRICS_APISERVER, "-n", LABELS["namespace"])
    place.kubectl("patch", *secret, "--type=merge", "-p", '{"data": null}')
    with metrics_apiserver(place.kubectl, kubeconfig, place.folder / f"{name}.log", {}, off_by) as server:
        yield server


SCENARIOS: Final[Mapping[str, Callable[[Place], Recording]]] = {
    "leading": leading,
    "unavailable": unavailable,
    "conflict": conflict,
    "standby": standby,
    "registered": registered,
    "expiring": expiring,
    "unregistered": unregistered,
}
"""In an order in which none disturbs the next."""


def record(folder: Path, only: AbstractSet[str]) -> dict[str, Recording]:
    """Play the named scenarios beside one API server."""
    if not only:
        return {}
    settings = {"POD_NAME": "operator-0", **RESYNC}
    with operated_by(folder, settings) as (kubectl, leader):
        place = Place(folder, kubectl, leader)
        return {name: play(place) for name, play in SCENARIOS.items() if name in only}
