"""AutoscalingActive: the autoscaler reads its metrics and can set the number of pods.

The condition follows the status of the scaling object. What it cannot know, such as who serves its metrics, is
added here, with the remedy.
"""

from typing import Final, NamedTuple

from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.spec.autoscaling import Source
from chatfleet_contract.status import ConditionStatus, Reason
from chatfleet_operator.children.kinds import HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT
from chatfleet_operator.model.errors import RefusalReason, truncate
from chatfleet_operator.model.moments import seconds_between
from chatfleet_operator.model.values import Manifest, ObjectId, Timestamp, deployment_id, identify
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.messages import not_owned, rejected
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown

TRIGGER_ERRORS: Final = frozenset({"TriggerError", "PartialTriggerError"})
"""KEDA's reasons for a metric that it cannot read."""

STARTUP_SECONDS: Final = 60.0
"""How long the start of the metrics API server is no failure: its image may have to be pulled."""

TRUE, FALSE = ConditionStatus.TRUE.value, ConditionStatus.FALSE.value


class ConditionReading(NamedTuple):
    """A condition of the object that scales. Empty: it has none of this type."""

    status: str = ""
    reason: str = ""
    message: str = ""
    """With the reason in front."""


def _read_condition(live: Manifest | None, kind: str) -> ConditionReading:
    for condition in ((live or {}).get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind:
            reason, message = condition.get("reason") or "", condition.get("message") or ""
            text = truncate(": ".join(filter(None, (reason, message))))
            return ConditionReading(str(condition.get("status")), reason, text)
    return ConditionReading()


def _autoscaler(assessment: Assessment) -> ObjectId:
    keda = assessment.spec and assessment.spec.autoscaling and assessment.spec.autoscaling.source is Source.KEDA
    kind = SCALED_OBJECT if keda else HORIZONTAL_POD_AUTOSCALER
    return ObjectId(kind.name, assessment.seen.resource.ref.name)


def _spec_unreadable(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec:
        return None
    return false(Reason.BLOCKED, "The spec is invalid, and autoscaling is not updated. See ConfigurationValid.")


def _disabled(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec and assessment.spec.autoscaling:
        return None
    return false(Reason.DISABLED, "spec.autoscaling is not set; spec.replicas sets the number of pods.")


def _not_deleted(assessment: Assessment) -> ConditionResult | None:
    """An autoscaler that is no longer wanted and still sets the number of pods."""
    left = {deletion.id for deletion in assessment.plan.delete_first}
    refused = {key: refusal for key, refusal in assessment.refused.items() if key in left}
    return false(Reason.REJECTED, rejected(refused)) if refused else None


def _suspended(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec and assessment.spec.suspend:
        return false(Reason.SUSPENDED, "spec.suspend is true. Once it is false, autoscaling starts at minReplicas.")
    return None


def _keda_not_installed(assessment: Assessment) -> ConditionResult | None:
    refusal = assessment.refused.get(_autoscaler(assessment))
    if not refusal or refusal.reason is not RefusalReason.NO_KIND:
        return None
    return false(
        Reason.KEDA_NOT_INSTALLED,
        "The cluster has no kind ScaledObject, and the number of pods does not change."
        " Install KEDA, or set autoscaling.source to builtin or prometheus.",
    )


def _rejected(assessment: Assessment) -> ConditionResult | None:
    key = _autoscaler(assessment)
    if key in assessment.plan.foreign:
        return false(Reason.REJECTED, not_owned({key: assessment.seen.children[key]}))
    refusal = assessment.refused.get(key)
    return false(Reason.REJECTED, rejected({key: refusal})) if refusal else None


def _metrics_api_conflict(assessment: Assessment) -> ConditionResult | None:
    api = assessment.seen.metrics_api
    if api is None or not api.foreign:
        return None
    cpu = _read_condition(assessment.child(_autoscaler(assessment)), "ScalingActive")
    effect = "pods are added by CPU and not removed"
    if cpu.status == FALSE:
        effect = f"no pod is added or removed, since CPU cannot be read either ({cpu.message})"
    return false(
        Reason.METRICS_API_CONFLICT,
        f"{api.foreign} serves custom.metrics.k8s.io; {effect}."
        " Set autoscaling.source to prometheus or keda, or remove that metrics API server.",
    )


def _no_metrics(assessment: Assessment, reading: ConditionReading) -> ConditionResult:
    """Return that metrics are missing, with the remedy where it is known."""
    api = assessment.seen.metrics_api
    if api and not api.served:
        return false(
            Reason.METRICS_API_MISSING,
            "No metrics API server serves custom.metrics.k8s.io, and the number of pods does not change."
            f" Set metricsAPIServer.enabled in the chart, or set another autoscaling.source. {reading.message}",
        )
    return false(Reason.METRICS_UNAVAILABLE, f"Metrics are unavailable, and no pod is removed. {reading.message}")


def _metrics_api_starts(assessment: Assessment) -> ConditionResult | None:
    """Our server runs only while it is needed, and this may be the first need."""
    api = assessment.seen.metrics_api
    if api is None or api.served or api.deployment is None or (api.stopped and not assessment.plan.start):
        return None
    since = _unavailable_since(api.deployment)
    where = f"{identify(api.deployment)} in namespace {api.deployment['metadata']['namespace']}"
    if since and seconds_between(since, assessment.now) >= STARTUP_SECONDS:
        return false(
            Reason.METRICS_API_MISSING,
            f"The metrics API server does not start, and the number of pods does not change."
            f" {where} has no ready pod since {since}.",
        )
    text = f"{where} starts, since this is the first ChatDeployment that needs it."
    return unknown(Reason.AUTOSCALER_PENDING, f"The metrics API server is not ready yet: {text}")


def _unavailable_since(deployment: Manifest) -> Timestamp:
    """Return since when a Deployment has too few ready pods; empty: it has enough, or has none by intention."""
    for condition in (deployment.get("status") or {}).get("conditions") or []:
        if (condition.get("type"), condition.get("status")) == ("Available", FALSE):
            return str(condition.get("lastTransitionTime") or "")
    return ""


def _metrics_api_unavailable(assessment: Assessment) -> ConditionResult | None:
    """A metrics API server that hangs: its autoscaler waits for it for a minute before it reports anything."""
    api, scaled = assessment.seen.metrics_api, assessment.spec and assessment.spec.autoscaling
    if api is None or not api.unavailable or (scaled and scaled.by_cpu_alone):
        return None
    return false(
        Reason.METRICS_UNAVAILABLE, f"The metrics API server is unavailable, and no pod is removed. {api.unavailable}"
    )


def _by_pod_autoscaler(assessment: Assessment) -> ConditionResult | None:
    key = _autoscaler(assessment)
    if key.kind != HORIZONTAL_POD_AUTOSCALER.name:
        return None
    live = assessment.child(key)
    able, active = _read_condition(live, "AbleToScale"), _read_condition(live, "ScalingActive")
    if able.status == FALSE or active.reason == "ScalingDisabled":
        failed = able if able.status == FALSE else active
        return false(Reason.SCALING_FAILED, failed.message)
    if active.status == FALSE:
        return _no_metrics(assessment, active)
    if active.status == TRUE:
        return _scaling(assessment, live)
    return unknown(Reason.AUTOSCALER_PENDING, f"{key} has no status yet; it is checked every 15 s.")


def _scaling(assessment: Assessment, live: Manifest | None) -> ConditionResult:
    scales = f"{_autoscaler(assessment)} scales {deployment_id(assessment.seen.resource.ref)}."
    at_most = _read_condition(live, "ScalingLimited").reason == "TooManyReplicas"
    limited = ["Its metrics call for more than maxReplicas."] if at_most else []
    return true(Reason.SCALING, " ".join([scales, *limited, *_ignored_replicas(assessment)]))


def _ignored_replicas(assessment: Assessment) -> list[str]:
    """Return that `kubectl scale` has set a number of pods that has no effect."""
    spec = assessment.spec
    if spec is None or spec.replicas == ChatDeploymentSpec.model_fields["replicas"].default:
        return []
    return [f"spec.replicas {spec.replicas} has no effect, also when `kubectl scale` sets it; set minReplicas."]


def _by_scaled_object(assessment: Assessment) -> ConditionResult:
    key = _autoscaler(assessment)
    live = assessment.child(key)
    ready, active = _read_condition(live, "Ready"), _read_condition(live, "HPAActive")
    paused = _read_condition(live, "Paused")
    if paused.status == TRUE:
        return false(Reason.SCALING_FAILED, paused.message)
    if not ready.reason:
        return unknown(Reason.AUTOSCALER_PENDING, f"{key} has no status yet. If this lasts, check that KEDA runs.")
    if ready.status != TRUE and ready.reason not in TRIGGER_ERRORS:
        return false(Reason.SCALING_FAILED, ready.message)
    if assessment.deployment and assessment.replicas == 0:  # pods that do not exist have no metrics: no error
        return true(
            Reason.SCALED_TO_ZERO,
            f"KEDA has scaled {deployment_id(assessment.seen.resource.ref)} to 0 replicas; a request starts a pod.",
        )
    if ready.status != TRUE or active.status == FALSE:
        return _no_metrics(assessment, ready if ready.status != TRUE else active)
    return _scaling(assessment, live)


RULES: Final[tuple[Rule, ...]] = (
    _spec_unreadable,
    _not_deleted,
    _disabled,
    _suspended,
    _keda_not_installed,
    _rejected,
    _metrics_api_conflict,
    _metrics_api_starts,
    _metrics_api_unavailable,
    _by_pod_autoscaler,
    _by_scaled_object,
)
