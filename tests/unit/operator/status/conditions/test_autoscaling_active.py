"""What AutoscalingActive says: each row is a situation that an SRE may meet."""

from dataclasses import replace

import pytest

from chatfleet_contract import names
from chatfleet_contract.status import ChatDeploymentStatus, Condition
from chatfleet_operator.model.errors import Refusal, RefusalReason
from chatfleet_operator.model.metrics_api import MetricsApi
from chatfleet_operator.model.parse import parse_metrics_api
from chatfleet_operator.model.values import Manifest, ObjectId, Observed, Outcome
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.status.report import report
from harness.kube.operated_cluster import DEFAULTS, MOMENT, foreign, observed, resource, settled

HPA = ObjectId("HorizontalPodAutoscaler", "support")
SCALED_OBJECT = ObjectId("ScaledObject", "support")
DEPLOYMENT = ObjectId("Deployment", "support")
BUILTIN: Manifest = {"maxReplicas": 9}
KEDA: Manifest = {"maxReplicas": 9, "source": "keda", "keda": {"prometheusURL": "http://prometheus:9090"}}
FROM_ZERO: Manifest = {**KEDA, "minReplicas": 0}
OURS = MetricsApi(served=True)
SILENT = MetricsApi(served=True, unavailable="FailedDiscoveryCheck: context deadline exceeded")
CPU: Manifest = {"type": "CPU", "averageUtilization": 70}
NOBODYS = MetricsApi(served=False)
PROMETHEUS_ADAPTER = MetricsApi(served=True, foreign="monitoring/prometheus-adapter")

ABLE: Manifest = {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"}
ACTIVE: Manifest = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
DEAD: Manifest = {
    "type": "ScalingActive",
    "status": "False",
    "reason": "FailedGetPodsMetric",
    "message": "unable to get metric chatfleet_active_streams",
}
READY: Manifest = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady"}
FOLLOWS: Manifest = {"type": "HPAActive", "status": "True", "reason": "HPAActive"}
TRIGGER_ERROR: Manifest = {"type": "Ready", "status": "False", "reason": "TriggerError", "message": "not working"}


def seen(
    autoscaling: Manifest,
    *told: Manifest,
    api: MetricsApi | None = None,
    pods: int | None = None,
    suspend: bool = False,
) -> Observed:
    """Return a snapshot in which the object that scales has `told` of itself; `pods`: what it has set."""
    it = resource(autoscaling=autoscaling, suspend=suspend)
    children = settled(it)
    for key in {HPA, SCALED_OBJECT} & children.keys():
        children[key] = {**children[key], "status": {"conditions": list(told)}}
    if pods is not None:
        children[DEPLOYMENT]["spec"]["replicas"] = pods
    return observed(it, children, metrics_api=api)


def evaluate_conditions(seen: Observed, outcome: Outcome | None = None) -> ChatDeploymentStatus:
    return report(seen, decide(seen, DEFAULTS), outcome or Outcome(), MOMENT)


UP: Manifest = {"type": "Available", "status": "True", "reason": "Passed", "message": "all checks passed"}
DOWN: Manifest = {"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": "no answer"}


@pytest.mark.parametrize(
    ("versions", "silence"),
    [
        pytest.param([], "", id="no metrics API server"),
        pytest.param([[], []], "", id="not tried yet"),
        pytest.param([[UP], [UP]], "", id="answers"),
        pytest.param([[DOWN], [UP]], "", id="answers in one version"),
        pytest.param([[DOWN], [DOWN]], "FailedDiscoveryCheck: no answer", id="answers in none"),
    ],
)
def test_a_metrics_api_server_is_silent_when_no_version_of_its_api_answers(
    versions: list[list[Manifest]], silence: str
) -> None:
    services = [
        {
            "metadata": {"name": "v", "labels": {names.LABEL_MANAGED_BY: names.MANAGED_BY}},
            "status": {"conditions": told},
        }
        for told in versions
    ]

    assert parse_metrics_api(services) == MetricsApi(served=bool(versions), unavailable=silence)


def condition(status: ChatDeploymentStatus, kind: str = "AutoscalingActive") -> Condition:
    return next(each for each in status.conditions or () if each.type == kind)


def refused(message: str, key: ObjectId = HPA, reason: RefusalReason = RefusalReason.REJECTED) -> Outcome:
    return Outcome(refused={key: Refusal(message, reason)})


def left_over() -> tuple[Observed, Outcome]:
    """Return what is seen of an autoscaler that is no longer wanted and must not be deleted."""
    before = seen(BUILTIN, ABLE, ACTIVE, api=OURS)
    return observed(resource(), dict(before.children)), refused('cannot delete resource "horizontalpodautoscalers"')


def not_ours(seen: Observed, key: ObjectId) -> Observed:
    return replace(seen, children={**seen.children, key: foreign(seen.children[key])})


ROWS = [
    pytest.param(*left_over(), "False Rejected", [str(HPA), "cannot delete resource"], id="left over"),
    pytest.param(observed(resource()), None, "False Disabled", [], id="no autoscaling"),
    pytest.param(seen(BUILTIN, api=OURS), None, "Unknown AutoscalerPending", [], id="just made"),
    pytest.param(seen(BUILTIN, ABLE, api=OURS), None, "Unknown AutoscalerPending", [], id="has told half"),
    pytest.param(seen(BUILTIN, ABLE, ACTIVE, api=OURS), None, "True Scaling", [], id="works"),
    pytest.param(seen(BUILTIN, ABLE, ACTIVE), None, "True Scaling", [], id="works, whoever answers it"),
    pytest.param(
        seen(BUILTIN, ABLE, ACTIVE, {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}),
        None,
        "True Scaling",
        ["maxReplicas"],
        id="at its upper bound",
    ),
    pytest.param(
        seen(BUILTIN, ABLE, DEAD, api=OURS),
        None,
        "False MetricsUnavailable",
        ["FailedGetPodsMetric", "unable to get metric chatfleet_active_streams"],
        id="the metrics are dead",
    ),
    pytest.param(
        seen(BUILTIN, ABLE, ACTIVE, api=SILENT),
        None,
        "False MetricsUnavailable",
        ["metrics API server is unavailable", "FailedDiscoveryCheck: context deadline exceeded"],
        id="the metrics API server hangs, which the autoscaler notices late",
    ),
    pytest.param(
        seen({**BUILTIN, "metrics": [CPU, {"type": "ActiveStreams"}]}, ABLE, ACTIVE, api=SILENT),
        None,
        "False MetricsUnavailable",
        ["metrics API server is unavailable"],
        id="the metrics API server hangs, and there is CPU",
    ),
    pytest.param(
        seen({**BUILTIN, "metrics": [CPU]}, ABLE, ACTIVE, api=SILENT),
        None,
        "True Scaling",
        [],
        id="the metrics API server hangs, and nobody needs it",
    ),
    pytest.param(
        seen(BUILTIN, ABLE, DEAD, api=NOBODYS),
        None,
        "False MetricsAPIMissing",
        ["No metrics API server serves custom.metrics.k8s.io", "metricsAPIServer.enabled", "unable to get metric"],
        id="nobody serves metrics",
    ),
    pytest.param(
        seen({**BUILTIN, "source": "prometheus"}, ABLE, DEAD),
        None,
        "False MetricsUnavailable",
        ["FailedGetPodsMetric"],
        id="the metrics API server of the user is dead",
    ),
    pytest.param(
        seen(BUILTIN, ABLE, ACTIVE, api=PROMETHEUS_ADAPTER),
        None,
        "False MetricsAPIConflict",
        ["monitoring/prometheus-adapter", "autoscaling.source", "pods are added by CPU"],
        id="the metrics API server of another owner",
    ),
    pytest.param(
        seen(BUILTIN, ABLE, DEAD, api=PROMETHEUS_ADAPTER),
        None,
        "False MetricsAPIConflict",
        ["monitoring/prometheus-adapter", "no pod is added", "FailedGetPodsMetric"],
        id="the metrics API server of another owner, and no CPU either",
    ),
    pytest.param(
        seen(BUILTIN, {**ABLE, "status": "False", "reason": "FailedGetScale", "message": "not found"}, ACTIVE),
        None,
        "False ScalingFailed",
        ["FailedGetScale: not found"],
        id="it cannot scale",
    ),
    pytest.param(
        seen(BUILTIN, ABLE, {**DEAD, "reason": "ScalingDisabled", "message": "replica count is zero"}, pods=0),
        None,
        "False ScalingFailed",
        ["ScalingDisabled"],
        id="somebody has set the Deployment to zero",
    ),
    pytest.param(seen(BUILTIN, suspend=True), None, "False Suspended", ["minReplicas"], id="suspended"),
    pytest.param(
        seen(BUILTIN), refused("metrics[0]: invalid"), "False Rejected", ["metrics[0]: invalid"], id="not taken"
    ),
    pytest.param(
        not_ours(seen(BUILTIN), HPA),
        None,
        "False Rejected",
        ["is not owned by this ChatDeployment", "delete the HorizontalPodAutoscaler"],
        id="somebody else's autoscaler",
    ),
    pytest.param(
        seen(KEDA),
        refused("404 page not found", SCALED_OBJECT, RefusalReason.NO_KIND),
        "False KEDANotInstalled",
        ["Install KEDA"],
        id="no KEDA",
    ),
    pytest.param(seen(KEDA), None, "Unknown AutoscalerPending", [], id="KEDA has not told"),
    pytest.param(
        seen(KEDA, {"type": "Ready", "status": "Unknown"}),
        None,
        "Unknown AutoscalerPending",
        [],
        id="KEDA is beginning",
    ),
    pytest.param(seen(KEDA, READY, FOLLOWS), None, "True Scaling", [], id="KEDA works"),
    pytest.param(seen(KEDA, READY), None, "True Scaling", [], id="an older KEDA works"),
    pytest.param(
        seen(KEDA, TRIGGER_ERROR), None, "False MetricsUnavailable", ["TriggerError: not working"], id="Prometheus away"
    ),
    pytest.param(
        seen(KEDA, {**TRIGGER_ERROR, "status": "Unknown", "reason": "PartialTriggerError"}),
        None,
        "False MetricsUnavailable",
        ["PartialTriggerError"],
        id="one of several metrics is away",
    ),
    pytest.param(
        seen(KEDA, READY, {**FOLLOWS, "status": "False", "reason": "FailedGetExternalMetric", "message": "no"}),
        None,
        "False MetricsUnavailable",
        ["FailedGetExternalMetric: no"],
        id="KEDA's autoscaler gets nothing",
    ),
    pytest.param(
        seen(KEDA, {**TRIGGER_ERROR, "reason": "ScaledObjectCheckFailed", "message": "no such target"}),
        None,
        "False ScalingFailed",
        ["ScaledObjectCheckFailed: no such target"],
        id="KEDA does not take it",
    ),
    pytest.param(
        seen(KEDA, READY, {"type": "Paused", "status": "True", "reason": "ScaledObjectPaused"}),
        None,
        "False ScalingFailed",
        ["ScaledObjectPaused"],
        id="somebody has paused KEDA",
    ),
    pytest.param(
        seen(FROM_ZERO, TRIGGER_ERROR, pods=0),
        None,
        "True ScaledToZero",
        ["a request starts a pod"],
        id="no pods, so no metrics of them",
    ),
    pytest.param(
        replace(seen(BUILTIN), resource=replace(resource(), spec=None, problem="spec.models: Field required")),
        None,
        "False Blocked",
        ["spec"],
        id="the spec cannot be read",
    ),
]


@pytest.mark.parametrize(("snapshot", "outcome", "expected", "words"), ROWS)
def test_autoscaling_is_active_only_when_it_really_works(
    snapshot: Observed, outcome: Outcome | None, expected: str, words: list[str]
) -> None:
    found = condition(evaluate_conditions(snapshot, outcome))

    assert f"{found.status.value} {found.reason}" == expected
    assert [word for word in words if word not in found.message] == []


@pytest.mark.parametrize(
    ("snapshot", "outcome"),
    [(seen(BUILTIN), refused("denied")), (not_ours(seen(BUILTIN), HPA), None)],
    ids=["refused", "foreign"],
)
def test_pods_serve_without_an_autoscaler(snapshot: Observed, outcome: Outcome | None) -> None:
    assert condition(evaluate_conditions(snapshot, outcome), "ConfigurationValid").reason == "Valid"


@pytest.mark.parametrize(
    ("figures", "progressing"),
    [
        pytest.param(
            {"replicas": 6, "updatedReplicas": 6, "readyReplicas": 2, "availableReplicas": 2}, "Complete", id="up"
        ),
        pytest.param({"replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}, "RollingOut", id="too few"),
        pytest.param({"replicas": 6, "updatedReplicas": 5}, "RollingOut", id="an earlier template"),
    ],
)
def test_pods_that_are_added_are_no_rollout(figures: Manifest, progressing: str) -> None:
    it = seen(BUILTIN, pods=6)
    live = it.children[DEPLOYMENT]
    children = {**it.children, DEPLOYMENT: {**live, "status": {**live["status"], **figures}}}
    status = evaluate_conditions(replace(it, children=children))

    assert condition(status, "Progressing").reason == progressing
    assert status.desired_replicas == 6


def test_a_number_of_pods_that_kubectl_has_scaled_to_is_named_as_without_effect() -> None:
    def message(replicas: int) -> str:
        it = resource(autoscaling=BUILTIN, replicas=replicas)
        children = settled(it)
        children[HPA] = {**children[HPA], "status": {"conditions": [ABLE, ACTIVE]}}
        return condition(evaluate_conditions(observed(it, children, metrics_api=OURS))).message

    assert "spec.replicas 7 has no effect, also when `kubectl scale` sets it" in message(7)
    assert "spec.replicas" not in message(2)  # the default, which nobody has set
