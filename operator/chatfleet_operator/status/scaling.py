"""Whether the number of pods follows what they have to do: the rules of `AutoscalingActive`.

The object that scales tells how it fares, and is believed. What it cannot know, such as whose adapter answers it, is
said here, with the remedy.
"""

from typing import Final, NamedTuple

from chatfleet_contract.autoscaling import Source
from chatfleet_contract.status import Reason
from chatfleet_operator.model.errors import NO_KIND, cut
from chatfleet_operator.model.values import Manifest, ObjectId
from chatfleet_operator.status.assessment import Scene
from chatfleet_operator.status.finding import Finding, Rule, false, true, unknown

TRIGGER_ERRORS: Final = frozenset({"TriggerError", "PartialTriggerError"})
"""KEDA's reasons for a metric that it cannot read."""


class Told(NamedTuple):
    """A condition of the object that scales, in its own words."""

    status: str = ""
    reason: str = ""
    words: str = ""


def _tells(live: Manifest | None, kind: str) -> Told:
    for condition in ((live or {}).get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind:
            reason, message = condition.get("reason") or "", condition.get("message") or ""
            return Told(str(condition.get("status")), reason, cut(": ".join(filter(None, (reason, message)))))
    return Told()


def _object(scene: Scene) -> ObjectId:
    keda = scene.spec and scene.spec.autoscaling and scene.spec.autoscaling.source is Source.KEDA
    return ObjectId("ScaledObject" if keda else "HorizontalPodAutoscaler", scene.seen.resource.ref.name)


def _unread(scene: Scene) -> Finding | None:
    return None if scene.spec else false(Reason.BLOCKED, "Nothing is scaled while the spec cannot be read.")


def _disabled(scene: Scene) -> Finding | None:
    if scene.spec and scene.spec.autoscaling:
        return None
    return false(Reason.DISABLED, "spec.autoscaling is not set; spec.replicas says how many pods run.")


def _suspended(scene: Scene) -> Finding | None:
    if scene.spec and scene.spec.suspend:
        return false(Reason.SUSPENDED, "spec.suspend is set; afterwards scaling starts from minReplicas.")
    return None


def _keda_missing(scene: Scene) -> Finding | None:
    words = scene.refused.get(_object(scene), "")
    if not words.startswith(NO_KIND):
        return None
    return false(
        Reason.KEDA_NOT_INSTALLED,
        "The cluster knows no ScaledObject, and the number of pods stays. Install KEDA,"
        " or set autoscaling.source to builtin or prometheus.",
    )


def _rejected(scene: Scene) -> Finding | None:
    key = _object(scene)
    if key in scene.plan.foreign:
        return false(
            Reason.REJECTED,
            f"{key} exists, does not belong to this ChatDeployment and is left alone; rename or delete one of the two.",
        )
    return false(Reason.REJECTED, f"{key}: {scene.refused[key]}") if key in scene.refused else None


def _adapter_foreign(scene: Scene) -> Finding | None:
    api = scene.seen.metrics_api
    if api is None or not api.foreign:
        return None
    by_cpu = _tells(scene.child(*_object(scene)), "ScalingActive")
    added = f"no pod is added, as CPU cannot be read either ({by_cpu.words})" if by_cpu.status == "False" else ""
    return false(
        Reason.METRICS_API_CONFLICT,
        f"custom.metrics.k8s.io belongs to {api.foreign}: {added or 'pods are added on CPU'}, and none is taken away."
        " Set autoscaling.source to prometheus if that adapter reads our metrics, or to keda, or remove that adapter.",
    )


def _no_metrics(scene: Scene, told: Told) -> Finding:
    """Return that metrics are missing, with the remedy where it is known."""
    api = scene.seen.metrics_api
    if api and not api.served:
        return false(
            Reason.METRICS_API_MISSING,
            f"Nobody serves custom.metrics.k8s.io, and the number of pods stays. Switch the chart's metrics adapter on,"
            f" or choose another autoscaling.source. {told.words}",
        )
    return false(Reason.METRICS_UNAVAILABLE, f"No pod is taken away: {told.words}")


def _adapter_silent(scene: Scene) -> Finding | None:
    """Tell of an adapter that hangs: its autoscaler waits for it, a minute long, and says nothing meanwhile."""
    api, scaled = scene.seen.metrics_api, scene.spec and scene.spec.autoscaling
    if api is None or not api.silence or (scaled and scaled.by_cpu_alone):
        return None
    return false(
        Reason.METRICS_UNAVAILABLE, f"No pod is taken away: the metrics adapter does not answer. {api.silence}"
    )


def _by_pod_autoscaler(scene: Scene) -> Finding | None:
    key = _object(scene)
    if key.kind != "HorizontalPodAutoscaler":
        return None
    live = scene.child(*key)
    able, active = _tells(live, "AbleToScale"), _tells(live, "ScalingActive")
    if able.status == "False" or active.reason == "ScalingDisabled":
        failed = able if able.status == "False" else active
        return false(Reason.SCALING_FAILED, failed.words)
    if active.status == "False":
        return _no_metrics(scene, active)
    if active.status == "True":
        return _scaling(live)
    return unknown(
        Reason.AUTOSCALER_PENDING, "The HorizontalPodAutoscaler has not told yet; it is looked after every 15 s."
    )


def _scaling(live: Manifest | None) -> Finding:
    follows = "The number of pods follows its metrics."
    at_most = _tells(live, "ScalingLimited").reason == "TooManyReplicas"
    return true(Reason.SCALING, f"{follows} They ask for more than maxReplicas." if at_most else follows)


def _by_scaled_object(scene: Scene) -> Finding:
    live = scene.child(*_object(scene))
    ready, follows = _tells(live, "Ready"), _tells(live, "HPAActive")
    paused = _tells(live, "Paused")
    if paused.status == "True":
        return false(Reason.SCALING_FAILED, paused.words)
    if not ready.reason:
        return unknown(Reason.AUTOSCALER_PENDING, "The ScaledObject has not told yet; KEDA looks after it.")
    if ready.status != "True" and ready.reason not in TRIGGER_ERRORS:
        return false(Reason.SCALING_FAILED, ready.words)
    if scene.deployment and scene.replicas == 0:  # pods that are not there have no metrics: no error
        return true(Reason.SCALED_TO_ZERO, "KEDA holds it at zero pods; a request wakes one, and waits for it.")
    if ready.status != "True" or follows.status == "False":
        return _no_metrics(scene, ready if ready.status != "True" else follows)
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
