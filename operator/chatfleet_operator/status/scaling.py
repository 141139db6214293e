"""Whether the number of pods follows what they have to do: the rules of `AutoscalingActive`.

The object that scales tells how it fares, and is believed. What it cannot know, such as whose adapter answers it, is
said here, with the remedy.
"""

from typing import Final, NamedTuple

from chatfleet_contract.autoscaling import Source
from chatfleet_contract.status import Reason
from chatfleet_operator.model.errors import NO_KIND, cut
from chatfleet_operator.model.values import Manifest, ObjectId
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.finding import ConditionResult, Rule, false, true, unknown

TRIGGER_ERRORS: Final = frozenset({"TriggerError", "PartialTriggerError"})
"""KEDA's reasons for a metric that it cannot read."""


class ConditionReading(NamedTuple):
    """A condition of the object that scales, in its own message."""

    status: str = ""
    reason: str = ""
    message: str = ""


def _read_condition(live: Manifest | None, kind: str) -> ConditionReading:
    for condition in ((live or {}).get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind:
            reason, message = condition.get("reason") or "", condition.get("message") or ""
            return ConditionReading(
                str(condition.get("status")), reason, cut(": ".join(filter(None, (reason, message))))
            )
    return ConditionReading()


def _object(assessment: Assessment) -> ObjectId:
    keda = assessment.spec and assessment.spec.autoscaling and assessment.spec.autoscaling.source is Source.KEDA
    return ObjectId("ScaledObject" if keda else "HorizontalPodAutoscaler", assessment.seen.resource.ref.name)


def _unread(assessment: Assessment) -> ConditionResult | None:
    return None if assessment.spec else false(Reason.BLOCKED, "Nothing is scaled while the spec cannot be read.")


def _disabled(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec and assessment.spec.autoscaling:
        return None
    return false(Reason.DISABLED, "spec.autoscaling is not set; spec.replicas says how many pods run.")


def _suspended(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec and assessment.spec.suspend:
        return false(Reason.SUSPENDED, "spec.suspend is set; afterwards scaling starts from minReplicas.")
    return None


def _keda_missing(assessment: Assessment) -> ConditionResult | None:
    message = assessment.refused.get(_object(assessment), "")
    if not message.startswith(NO_KIND):
        return None
    return false(
        Reason.KEDA_NOT_INSTALLED,
        "The cluster knows no ScaledObject, and the number of pods stays. Install KEDA,"
        " or set autoscaling.source to builtin or prometheus.",
    )


def _rejected(assessment: Assessment) -> ConditionResult | None:
    key = _object(assessment)
    if key in assessment.plan.foreign:
        return false(
            Reason.REJECTED,
            f"{key} exists, does not belong to this ChatDeployment and is left alone; rename or delete one of the two.",
        )
    return false(Reason.REJECTED, f"{key}: {assessment.refused[key]}") if key in assessment.refused else None


def _adapter_foreign(assessment: Assessment) -> ConditionResult | None:
    api = assessment.seen.metrics_api
    if api is None or not api.foreign:
        return None
    by_cpu = _read_condition(assessment.child(*_object(assessment)), "ScalingActive")
    added = f"no pod is added, as CPU cannot be read either ({by_cpu.message})" if by_cpu.status == "False" else ""
    return false(
        Reason.METRICS_API_CONFLICT,
        f"custom.metrics.k8s.io belongs to {api.foreign}: {added or 'pods are added on CPU'}, and none is taken away."
        " Set autoscaling.source to prometheus if that adapter reads our metrics, or to keda, or remove that adapter.",
    )


def _no_metrics(assessment: Assessment, reading: ConditionReading) -> ConditionResult:
    """Return that metrics are missing, with the remedy where it is known."""
    api = assessment.seen.metrics_api
    if api and not api.served:
        return false(
            Reason.METRICS_API_MISSING,
            f"Nobody serves custom.metrics.k8s.io, and the number of pods stays. Switch the chart's metrics adapter on,"
            f" or choose another autoscaling.source. {reading.message}",
        )
    return false(Reason.METRICS_UNAVAILABLE, f"No pod is taken away: {reading.message}")


def _adapter_silent(assessment: Assessment) -> ConditionResult | None:
    """Tell of an adapter that hangs: its autoscaler waits for it, a minute long, and says nothing meanwhile."""
    api, scaled = assessment.seen.metrics_api, assessment.spec and assessment.spec.autoscaling
    if api is None or not api.silence or (scaled and scaled.by_cpu_alone):
        return None
    return false(
        Reason.METRICS_UNAVAILABLE, f"No pod is taken away: the metrics adapter does not answer. {api.silence}"
    )


def _by_pod_autoscaler(assessment: Assessment) -> ConditionResult | None:
    key = _object(assessment)
    if key.kind != "HorizontalPodAutoscaler":
        return None
    live = assessment.child(*key)
    able, active = _read_condition(live, "AbleToScale"), _read_condition(live, "ScalingActive")
    if able.status == "False" or active.reason == "ScalingDisabled":
        failed = able if able.status == "False" else active
        return false(Reason.SCALING_FAILED, failed.message)
    if active.status == "False":
        return _no_metrics(assessment, active)
    if active.status == "True":
        return _scaling(live)
    return unknown(
        Reason.AUTOSCALER_PENDING, "The HorizontalPodAutoscaler has not reading yet; it is looked after every 15 s."
    )


def _scaling(live: Manifest | None) -> ConditionResult:
    follows = "The number of pods follows its metrics."
    at_most = _read_condition(live, "ScalingLimited").reason == "TooManyReplicas"
    return true(Reason.SCALING, f"{follows} They ask for more than maxReplicas." if at_most else follows)


def _by_scaled_object(assessment: Assessment) -> ConditionResult:
    live = assessment.child(*_object(assessment))
    ready, follows = _read_condition(live, "Ready"), _read_condition(live, "HPAActive")
    paused = _read_condition(live, "Paused")
    if paused.status == "True":
        return false(Reason.SCALING_FAILED, paused.message)
    if not ready.reason:
        return unknown(Reason.AUTOSCALER_PENDING, "The ScaledObject has not reading yet; KEDA looks after it.")
    if ready.status != "True" and ready.reason not in TRIGGER_ERRORS:
        return false(Reason.SCALING_FAILED, ready.message)
    if assessment.deployment and assessment.replicas == 0:  # pods that are not there have no metrics: no error
        return true(Reason.SCALED_TO_ZERO, "KEDA holds it at zero pods; a request wakes one, and waits for it.")
    if ready.status != "True" or follows.status == "False":
        return _no_metrics(assessment, ready if ready.status != "True" else follows)
    return _scaling(live)


AUTOSCALING_ACTIVE: tuple[Rule, ...] = (
    _unread,
    _disabled,
    _suspended,
    _keda_missing,
    _rejected,
    _adapter_foreign,
    _adapter_silent,
    _by_pod_autoscaler,
    _by_scaled_object,
)
