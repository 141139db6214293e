"""Autoscaling beside a real API server: whose the number of pods is, and what becomes of the objects that scale.

No controller runs here. What a HorizontalPodAutoscaler or KEDA would do and tell is done and told in their place,
through the same subresources.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatfleet_contract import names
from chatfleet_operator.model.values import Manifest
from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.kube.operator_process import OperatorProcess, account, cluster_wide, grant, operator
from harness.polling import eventually

KEDA_CRD = Path(__file__).parent / "fixtures" / "keda-scaledobjects.yaml"
DEPLOYMENT = "deployment/support"
HPA = "hpa/support"
SCALED_OBJECT = "scaledobject/support"
ROOM = ("deployment/support-activator", "service/support-activator", "service/support-pods")
RESYNC = 1
BUILTIN: Manifest = {
    "minReplicas": 2,
    "maxReplicas": 9,
    "metrics": [{"type": "ActiveStreams"}, {"type": "TokensPerSecond", "averageValue": "4000"}],
}
KEDA: Manifest = {**BUILTIN, "source": "keda", "keda": {"prometheusURL": "http://prometheus:9090"}}

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def running(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    folder = tmp_path_factory.mktemp("scaling")
    kubeconfig = account(kubectl, folder)
    grant(kubectl, *cluster_wide())
    settings = {"RESYNC_SECONDS": str(RESYNC)}
    with operator(kubeconfig, folder / "operator.log", settings) as process:
        process.elected()
        yield process


@pytest.fixture(scope="module")
def keda(kubectl: Kubectl) -> Iterator[None]:
    """Install KEDA's definition for the time of these tests."""
    kubectl("apply", "--server-side", "-f", str(KEDA_CRD))
    eventually(lambda: kubectl("get", "--raw", "/apis/keda.sh/v1alpha1/scaledobjects"))
    yield
    kubectl("delete", "-f", str(KEDA_CRD), "--wait=false")


@pytest.fixture
def chatdeployment(kubectl: Kubectl, running: OperatorProcess) -> Iterator[LiveChatDeployment]:  # noqa: ARG001  # it works there
    name = f"scaling-{next(numbers)}"
    kubectl.create_namespace(name)
    chatdeployment = LiveChatDeployment(kubectl, name)
    yield chatdeployment
    chatdeployment.remove()


def scaling(chatdeployment: LiveChatDeployment, **spec: Any) -> LiveChatDeployment:  # noqa: ANN401  # JSON
    chatdeployment.apply(autoscaling=BUILTIN, **spec)
    chatdeployment.settles()
    eventually(lambda: chatdeployment.exists(HPA))
    eventually(lambda: "f:replicas" not in held(chatdeployment, names.FIELD_MANAGER))
    return chatdeployment


def held(chatdeployment: LiveChatDeployment, manager: str) -> str:
    """Return the fields of the Deployment that a manager holds."""
    managers = chatdeployment.get(DEPLOYMENT)["metadata"]["managedFields"]
    return json.dumps([entry["fieldsV1"] for entry in managers if entry["manager"] == manager])


def replicas(chatdeployment: LiveChatDeployment) -> int:
    count: int = chatdeployment.get(DEPLOYMENT)["spec"]["replicas"]
    return count


def scale(chatdeployment: LiveChatDeployment, count: int) -> None:
    """Set the number of pods through the subresource that autoscalers write."""
    chatdeployment.kubectl("scale", DEPLOYMENT, f"--replicas={count}", "-n", chatdeployment.namespace)


def tell(chatdeployment: LiveChatDeployment, what: str, *conditions: Manifest) -> None:
    """Write the conditions of an object that scales, as its controller does."""
    said = [{"lastTransitionTime": "2026-01-01T00:00:00Z", **condition} for condition in conditions]
    status: Manifest = {"conditions": said}
    if what == HPA:
        status |= {"currentReplicas": 2, "desiredReplicas": 2}
    chatdeployment.patch_status(what, status)


def roll_out(chatdeployment: LiveChatDeployment, what: str, ready: int) -> None:
    """Write the status of a workload, as its controller does."""
    figures = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), ready)
    status = {"observedGeneration": chatdeployment.get(what)["metadata"]["generation"], **figures}
    chatdeployment.patch_status(what, status)


def rest(chatdeployment: LiveChatDeployment, running: OperatorProcess) -> dict[str, float]:
    """Let some passes go by; returns what was written in them."""
    before = running.writes()
    running.reconciled(3)
    assert chatdeployment.get()["metadata"]["generation"]
    return {kind: count - before.get(kind, 0) for kind, count in running.writes().items() if count != before.get(kind)}


def test_the_autoscaler_is_made_and_owned_and_once_it_is_there_nothing_is_written(
    chatdeployment: LiveChatDeployment, running: OperatorProcess
) -> None:
    scaling(chatdeployment)
    running.reconciled(2)
    before = chatdeployment.get(HPA)
    chatdeployment.apply(autoscaling=BUILTIN)

    assert rest(chatdeployment, running) == {}
    after = chatdeployment.get(HPA)
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    (owner,) = after["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == (names.KIND, chatdeployment.get()["metadata"]["uid"])
    assert [each["pods"]["target"]["averageValue"] for each in after["spec"]["metrics"]] == ["350", "4k"]


def test_what_the_autoscaler_sets_is_left_alone_and_what_is_not_its_own_is_repaired(
    chatdeployment: LiveChatDeployment, running: OperatorProcess
) -> None:
    scaling(chatdeployment)
    assert replicas(chatdeployment) == 2
    for count in (7, 3, 9):
        scale(chatdeployment, count)
        rest(chatdeployment, running)
        assert replicas(chatdeployment) == count
    chatdeployment.patch(DEPLOYMENT, {"spec": {"template": {"spec": {"serviceAccountName": "default"}}}})
    chatdeployment.apply(autoscaling=BUILTIN, template={"labels": {"team": "shop"}})

    def template() -> Manifest:
        found: Manifest = chatdeployment.get(DEPLOYMENT)["spec"]["template"]
        return found

    eventually(lambda: template()["metadata"]["labels"].get("team") == "shop")
    eventually(lambda: template()["spec"]["serviceAccountName"] == "support")
    assert replicas(chatdeployment) == 9
    eventually(lambda: chatdeployment.get()["status"]["desiredReplicas"] == 9)


def test_a_changed_autoscaler_is_repaired_and_a_deleted_one_comes_back(chatdeployment: LiveChatDeployment) -> None:
    scaling(chatdeployment)
    chatdeployment.patch(HPA, {"spec": {"maxReplicas": 99}})
    eventually(lambda: chatdeployment.get(HPA)["spec"]["maxReplicas"] == 9)
    before = chatdeployment.get(HPA)["metadata"]["uid"]
    chatdeployment.delete(HPA)
    eventually(lambda: chatdeployment.exists(HPA) and chatdeployment.get(HPA)["metadata"]["uid"] != before)


def watched(chatdeployment: LiveChatDeployment, until: int) -> set[int]:
    """Return every number of pods that there was until it was `until`, by the Deployment's own history."""
    seen = set[int]()

    def look() -> bool:
        seen.add(replicas(chatdeployment))
        return until in seen

    eventually(look, every=0.05)
    return seen


def test_switching_it_on_and_off_makes_no_jump(chatdeployment: LiveChatDeployment, running: OperatorProcess) -> None:
    chatdeployment.apply(replicas=4)
    chatdeployment.settles()
    chatdeployment.apply(replicas=4, autoscaling=BUILTIN)
    eventually(lambda: chatdeployment.exists(HPA))
    rest(chatdeployment, running)
    assert replicas(chatdeployment) == 4
    assert "f:replicas" not in held(chatdeployment, names.FIELD_MANAGER)

    scale(chatdeployment, 7)
    chatdeployment.apply(replicas=4)
    assert watched(chatdeployment, until=4) <= {7, 4}
    eventually(lambda: not chatdeployment.exists(HPA))
    rest(chatdeployment, running)
    assert replicas(chatdeployment) == 4
    assert chatdeployment.condition("AutoscalingActive")["reason"] == "Disabled"


def test_suspending_removes_the_autoscaler_and_resuming_starts_at_the_least(
    chatdeployment: LiveChatDeployment, running: OperatorProcess
) -> None:
    scaling(chatdeployment)
    scale(chatdeployment, 7)
    chatdeployment.patch("chatdeployment/support", {"spec": {"suspend": True}})
    eventually(lambda: replicas(chatdeployment) == 0 and not chatdeployment.exists(HPA))
    eventually(chatdeployment.has_condition("AutoscalingActive", "Suspended"))

    chatdeployment.patch("chatdeployment/support", {"spec": {"suspend": False}})
    eventually(lambda: replicas(chatdeployment) == 2 and chatdeployment.exists(HPA))
    rest(chatdeployment, running)
    assert replicas(chatdeployment) == 2


def test_the_condition_follows_the_autoscaler_within_seconds(chatdeployment: LiveChatDeployment) -> None:
    scaling(chatdeployment)
    able: Manifest = {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "ok"}
    active: Manifest = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "ok"}
    dead = {**active, "status": "False", "reason": "FailedGetPodsMetric", "message": "no metrics returned"}
    eventually(chatdeployment.has_condition("AutoscalingActive", "AutoscalerPending"))
    tell(chatdeployment, HPA, able, active)
    eventually(chatdeployment.has_condition("AutoscalingActive", "Scaling"))
    tell(chatdeployment, HPA, able, dead)
    eventually(chatdeployment.has_condition("AutoscalingActive", "MetricsAPIMissing", "no metrics returned"))
    assert chatdeployment.condition("AutoscalingActive")["status"] == "False"


def test_an_autoscaler_of_the_same_name_that_is_not_ours_is_named_and_left_alone(
    chatdeployment: LiveChatDeployment,
) -> None:
    chatdeployment.apply()
    eventually(lambda: chatdeployment.exists(DEPLOYMENT))
    chatdeployment.kubectl("autoscale", "deployment", "support", "--max=3", "-n", chatdeployment.namespace)
    before = chatdeployment.get(HPA)
    chatdeployment.apply(autoscaling=BUILTIN)
    eventually(chatdeployment.has_condition("AutoscalingActive", "Rejected", "is not owned by this ChatDeployment"))

    assert chatdeployment.get(HPA) == before
    assert chatdeployment.condition("ConfigurationValid")["reason"] == "Valid"


def api_service(**labels: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": names.METRICS_APIS[1], "labels": labels},
            "spec": {
                "group": "custom.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": {"namespace": "monitoring", "name": "prometheus-adapter"},
            },
        }
    )


def test_a_foreign_metrics_api_is_named_and_pods_only_come_by_cpu(
    chatdeployment: LiveChatDeployment, kubectl: Kubectl
) -> None:
    name = f"apiservice/{names.METRICS_APIS[1]}"
    scaling(chatdeployment)
    try:
        kubectl.apply(api_service(app="prometheus-adapter"))
        before = kubectl.json("get", name)["spec"]
        eventually(
            chatdeployment.has_condition("AutoscalingActive", "MetricsAPIConflict", "monitoring/prometheus-adapter"),
            seconds=10,
        )
        eventually(lambda: chatdeployment.get(HPA)["spec"]["behavior"]["scaleDown"]["selectPolicy"] == "Disabled")
        assert kubectl.json("get", name)["spec"] == before
        kubectl.apply(api_service(**{names.LABEL_MANAGED_BY: names.MANAGED_BY}))
        eventually(
            chatdeployment.has_condition("AutoscalingActive", "MetricsUnavailable", "ServiceNotFound"), seconds=10
        )
    finally:
        kubectl("delete", name)


def test_without_keda_it_says_what_to_do_and_heals_when_keda_comes(
    chatdeployment: LiveChatDeployment, kubectl: Kubectl, running: OperatorProcess
) -> None:
    chatdeployment.apply(autoscaling=KEDA)
    eventually(chatdeployment.has_condition("AutoscalingActive", "KEDANotInstalled", "Install KEDA"))
    assert chatdeployment.exists(DEPLOYMENT)
    assert chatdeployment.condition("ConfigurationValid")["reason"] == "Valid"
    assert running.get("/live")[0] == 200
    kubectl("apply", "--server-side", "-f", str(KEDA_CRD))
    eventually(lambda: kubectl("get", "--raw", "/apis/keda.sh/v1alpha1/scaledobjects"))
    try:
        eventually(lambda: chatdeployment.exists(SCALED_OBJECT))
    finally:
        kubectl("delete", "-f", str(KEDA_CRD), "--wait=false")
        eventually(lambda: not kubectl("get", "crd", "scaledobjects.keda.sh", "--ignore-not-found"))


@pytest.mark.usefixtures("keda")
def test_changing_the_source_leaves_one_autoscaler(
    chatdeployment: LiveChatDeployment, running: OperatorProcess
) -> None:
    scaling(chatdeployment)
    scale(chatdeployment, 6)
    chatdeployment.apply(autoscaling=KEDA)
    eventually(lambda: chatdeployment.exists(SCALED_OBJECT) and not chatdeployment.exists(HPA))
    assert rest(chatdeployment, running).keys() <= {"ChatDeployment/status", "Event"}
    assert replicas(chatdeployment) == 6
    tell(
        chatdeployment,
        SCALED_OBJECT,
        {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "ok"},
    )
    eventually(chatdeployment.has_condition("AutoscalingActive", "Scaling"))

    chatdeployment.apply(autoscaling={**BUILTIN, "source": "prometheus"})
    eventually(lambda: chatdeployment.exists(HPA) and not chatdeployment.exists(SCALED_OBJECT))
    assert replicas(chatdeployment) == 6


@pytest.mark.usefixtures("keda")
def test_keda_may_hold_it_at_zero(chatdeployment: LiveChatDeployment, running: OperatorProcess) -> None:
    from_zero = {**KEDA, "minReplicas": 0}
    chatdeployment.apply(autoscaling=from_zero)
    chatdeployment.settles()
    eventually(lambda: chatdeployment.exists(SCALED_OBJECT))
    tell(
        chatdeployment,
        SCALED_OBJECT,
        {"type": "Ready", "status": "False", "reason": "TriggerError", "message": "no value"},
    )
    eventually(chatdeployment.has_condition("AutoscalingActive", "ScaledToZero"))
    for what, ready in ((DEPLOYMENT, 0), ("statefulset/support-redis", 1), (ROOM[0], 0)):
        roll_out(chatdeployment, what, ready)
    eventually(chatdeployment.has_condition("Ready", "NoReadyPods", "Deployment support-activator has 0 of 1"))
    roll_out(chatdeployment, ROOM[0], 1)
    eventually(chatdeployment.has_condition("Ready", "Asleep"))
    chatdeployment.kubectl("wait", "chatdep/support", "--for=condition=Ready", "-n", chatdeployment.namespace)
    assert chatdeployment.condition("Available")["reason"] == "Asleep"
    scale(chatdeployment, 1)
    rest(chatdeployment, running)
    assert replicas(chatdeployment) == 1


SLEEPY: Manifest = {**KEDA, "minReplicas": 0}


def in_front(chatdeployment: LiveChatDeployment) -> Manifest:
    """Return what the Service in front selects by."""
    chosen: Manifest = chatdeployment.get("service/support")["spec"]["selector"]
    return chosen


@pytest.mark.usefixtures("keda")
def test_the_activator_is_created_once_and_pruned_when_there_is_always_a_pod(
    chatdeployment: LiveChatDeployment, running: OperatorProcess
) -> None:
    chatdeployment.apply(autoscaling=SLEEPY)
    chatdeployment.settles()
    eventually(lambda: chatdeployment.count(*ROOM) == len(ROOM) and chatdeployment.exists(SCALED_OBJECT))
    rest(chatdeployment, running)
    before = [chatdeployment.get(each)["metadata"]["resourceVersion"] for each in ROOM]
    chatdeployment.apply(autoscaling=SLEEPY)
    assert rest(chatdeployment, running) == {}
    assert [chatdeployment.get(each)["metadata"]["resourceVersion"] for each in ROOM] == before
    assert names.LABEL_COMPONENT not in in_front(chatdeployment)

    template = chatdeployment.get(DEPLOYMENT)["spec"]["template"]
    chatdeployment.apply(autoscaling={**SLEEPY, "minReplicas": 1})
    eventually(lambda: not chatdeployment.count(*ROOM))
    assert in_front(chatdeployment)[names.LABEL_COMPONENT] == names.COMPONENT_API
    assert chatdeployment.get(DEPLOYMENT)["spec"]["template"] == template


@pytest.mark.usefixtures("keda")
def test_an_activator_that_somebody_changes_or_deletes_is_repaired(chatdeployment: LiveChatDeployment) -> None:
    chatdeployment.apply(autoscaling=SLEEPY)
    chatdeployment.settles()
    eventually(lambda: chatdeployment.count(*ROOM) == len(ROOM))
    chatdeployment.patch(ROOM[0], {"spec": {"replicas": 0}})
    eventually(lambda: chatdeployment.get(ROOM[0])["spec"]["replicas"] == 1)
    uids = [chatdeployment.get(each)["metadata"]["uid"] for each in ROOM]
    for each in ROOM:
        chatdeployment.delete(each)

    def back() -> bool:
        found = [chatdeployment.get(each)["metadata"]["uid"] for each in ROOM]
        return not set(found) & set(uids)

    eventually(back)
