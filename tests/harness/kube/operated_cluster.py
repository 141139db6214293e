"""Builders for the operator's tests: a ChatDeployment, its pods, and pods that tell what they serve."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chatfleet_contract import names
from chatfleet_contract.report import Dependency, PodReport, State
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.status import ChatDeploymentStatus, Condition
from chatfleet_operator.children import build
from chatfleet_operator.children.kinds import WORKLOADS
from chatfleet_operator.model.conflict import Conflict
from chatfleet_operator.model.defaults import Defaults
from chatfleet_operator.model.values import (
    LiveState,
    Manifest,
    Notice,
    ObjectId,
    Observed,
    ProbeResult,
    Ref,
    Resource,
    identify,
)
from chatfleet_operator.reconcile.reconcile import Parts
from chatfleet_operator.reconcile.repairs import Repairs
from harness.kube.fake_cluster import OPERATOR, FakeCluster

REF = Ref("shop", "support")
DEFAULTS = Defaults(api_image="example.com/api:1", redis_image="example.com/redis:8")
MOMENT = "2026-01-02T03:04:05Z"

UP = Dependency(state=State.UP)


def spec(**changes: Any) -> Manifest:  # noqa: ANN401  # JSON
    """Return the spec of a small ChatDeployment, with `changes` in wire names."""
    return {
        "replicas": 2,
        "providers": [{"name": "scripted", "type": "scripted"}],
        "models": [{"name": "default", "provider": "scripted", "model": "script"}],
        "redis": {"managed": {}},
        "access": {"anonymous": True},
        **changes,
    }


EVERY_CHILD: tuple[Manifest, ...] = (
    spec(autoscaling={"maxReplicas": 9}),
    spec(
        autoscaling={
            "minReplicas": 0,
            "maxReplicas": 9,
            "source": "keda",
            "keda": {"prometheusURL": "http://prometheus"},
        }
    ),
)
"""Specs that together have every child that a ChatDeployment can have."""


def document(ref: Ref = REF, **changes: Any) -> Manifest:  # noqa: ANN401  # JSON
    """Return a ChatDeployment as somebody would apply it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": spec(**changes),
    }


def pod(name: str, ip: str, *, ready: bool = True, ref: Ref = REF) -> Manifest:
    """Return a running API pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": ref.namespace,
            "labels": {names.LABEL_DEPLOYMENT: ref.name, names.LABEL_COMPONENT: names.COMPONENT_API},
        },
        "status": {
            "phase": "Running",
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def event(about: Manifest, note: str, name: str = "failed") -> Manifest:
    """Return a Warning about an object."""
    metadata = about["metadata"]
    regarding = {"kind": about["kind"], **{key: metadata[key] for key in ("name", "namespace", "uid")}}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "type": "Warning",
        "reason": "Failed",
        "action": "Start",
        "note": note,
        "regarding": regarding,
        "reportingController": "test",
        "reportingInstance": "test",
    }


def pod_report(pod: str, config: str, **changes: Any) -> PodReport:  # noqa: ANN401  # any field
    """Return the report of a pod that is well."""
    told: dict[str, Any] = {"redis": UP, "upstreams": {"scripted": UP}, **changes}
    return PodReport(pod=pod, version="1", config=config, **told)


def resource(**changes: Any) -> Resource:  # noqa: ANN401  # JSON
    """Return a ChatDeployment as a pass sees it, before any pass."""
    return Resource(REF, "uid-1", "1", 1, ChatDeploymentSpec.model_validate(spec(**changes)))


def settled(seen: Resource) -> dict[ObjectId, Manifest]:
    """Return the children as they stand when all is rolled out."""
    assert seen.spec
    found = LiveState(secret_uid="uid-Secret", deployed=True)  # an identity
    wanted = build(seen, seen.spec, DEFAULTS, live=found).children
    return {identify(child): _alive(child) for child in wanted}


def _alive(manifest: Manifest) -> Manifest:
    kind = manifest["kind"]
    live = {**deepcopy(manifest), "metadata": {**manifest["metadata"], "uid": f"uid-{kind}", "generation": 1}}
    if kind == "Secret":
        live["data"] = {"password": "", "url": ""}
    if kind in WORKLOADS:
        _rolled_out(live, live["spec"].setdefault("replicas", 2))
    return live


def observed(seen: Resource, children: dict[ObjectId, Manifest] | None = None, **rest: Any) -> Observed:  # noqa: ANN401
    """Return a snapshot; `children` unset: all is rolled out."""
    return Observed(seen, settled(seen) if children is None else children, {}, **rest)


def foreign(live: Manifest) -> Manifest:
    """Return an object of the same name that somebody else has made."""
    return {**live, "metadata": {**live["metadata"], "ownerReferences": [], "managedFields": []}}


@dataclass
class FakeProber:
    """`ports.Prober`: pods and Services that answer what a test says."""

    reports: dict[str, PodReport] = field(default_factory=dict)
    answer: ProbeResult = field(default_factory=lambda: ProbeResult(problem="connection refused"))
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def report(self, ip: str) -> PodReport | None:
        return self.reports.get(ip)

    async def probe(self, address: str, port: int, *, token: str) -> ProbeResult:
        self.tokens.append(token)
        self.asked.append(f"{address}:{port}")
        return self.answer


@dataclass
class RecordedCalls:
    """`ports.Recorder` and `ports.Metrics` in memory."""

    conditions: list[Condition] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    drifted: list[ObjectId] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    gone: list[Ref] = field(default_factory=list)

    async def record(self, resource: Resource, condition: Condition) -> None:  # noqa: ARG002  # one resource here
        self.conditions.append(condition)

    def conflicts_reported(self, ref: Ref, conflicts: Sequence[Conflict]) -> None:  # noqa: ARG002  # one resource here
        self.conflicts = list(conflicts)

    async def notice(self, resource: Resource, notice: Notice) -> None:  # noqa: ARG002  # one resource here
        self.notices.append(notice)

    def drift_repaired(self, drifted: frozenset[ObjectId]) -> None:
        self.drifted.extend(sorted(drifted))

    def conditions_reported(self, ref: Ref, status: ChatDeploymentStatus) -> None: ...

    def removed(self, ref: Ref) -> None:
        self.gone.append(ref)


@dataclass
class OperatedCluster:
    """A cluster with one ChatDeployment in it, and everything that a reconciliation needs."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    prober: FakeProber = field(default_factory=FakeProber)
    recorded: RecordedCalls = field(default_factory=RecordedCalls)
    moment: str = MOMENT
    defaults: Defaults = DEFAULTS
    clock: float = 1000.0
    """Monotonic seconds."""
    repairs: Repairs = field(init=False)

    def __post_init__(self) -> None:
        self.repairs = Repairs(OPERATOR, lambda: self.clock)

    @property
    def parts(self) -> Parts:
        return Parts(
            cluster=self.cluster,
            prober=self.prober,
            recorder=self.recorded,
            metrics=self.recorded,
            repairs=self.repairs,
            defaults=self.defaults,
            now=lambda: self.moment,
        )

    def live(self, kind: str, name: str) -> Manifest:
        return self.cluster.get(REF.namespace, ObjectId(kind, name))

    def change(self, kind: str, name: str, change: Callable[[Manifest], object]) -> None:
        self.cluster.edit(REF.namespace, ObjectId(kind, name), change)

    def config(self) -> RuntimeConfig:
        """Return the runtime configuration that is in the cluster now."""
        data = self.live("ConfigMap", names.config_name(REF.name))["data"]
        return RuntimeConfig.model_validate_json(data[names.CONFIG_KEY])

    def roll_out(self, pods: int = 2) -> None:
        """Do what Kubernetes does: roll out the workloads, start pods, let them serve the current configuration."""
        for kind, name, replicas in (("Deployment", "support", pods), ("StatefulSet", "support-redis", 1)):
            if (REF.namespace, ObjectId(kind, name)) in self.cluster.objects:
                self.change(kind, name, partial(_rolled_out, replicas=replicas))
        digest = self.config().digest()
        for number in range(pods):
            name, ip = f"support-{number}", f"192.0.2.{number + 1}"
            if (REF.namespace, ObjectId("Pod", name)) not in self.cluster.objects:
                self.cluster.put(pod(name, ip))
            self.prober.reports[ip] = pod_report(name, digest)
        self.prober.answer = ProbeResult(frozenset(model.name for model in self.config().models), digest)

    def condition(self, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition."""
        found = self.condition_document(kind)
        return found["status"], found["reason"]

    def condition_document(self, kind: str) -> Manifest:
        live = self.live(names.KIND, REF.name)
        condition: Manifest = next(each for each in live["status"]["conditions"] if each["type"] == kind)
        return condition


def _rolled_out(live: Manifest, replicas: int) -> None:
    generation = live["metadata"]["generation"]
    figures = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    live["status"] = {"observedGeneration": generation, **dict.fromkeys(figures, replicas)}


def operated_cluster(**changes: Any) -> OperatedCluster:  # noqa: ANN401  # JSON
    """Return a cluster in which a ChatDeployment was applied."""
    made = OperatedCluster()
    made.cluster.put(deepcopy(document(**changes)))
    return made
