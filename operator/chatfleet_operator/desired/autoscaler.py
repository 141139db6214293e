"""What sets the number of pods when the resource asks for it: a HorizontalPodAutoscaler, or a ScaledObject of KEDA.

Its target is the Deployment, so that nothing stands between it and the pods whose streams it counts, and a second
autoscaler of the same Deployment is seen by Kubernetes and KEDA as what it is. Without metrics neither takes pods away.
"""

from typing import Final

from chatfleet_contract import metrics, names
from chatfleet_contract.autoscaling import Autoscaling, Keda, MetricType, ScalingMetric, Source
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.compare import quantity
from chatfleet_operator.desired.labels import Owner, child
from chatfleet_operator.desired.waiting_room import may_sleep, queue_url
from chatfleet_operator.model import Manifest, Ref

DEFAULT_SHARE: Final = 70
"""Percent of what a pod can take, streams or CPU, that it should carry when nothing else is said."""

POLLING_SECONDS: Final = 15
"""How often KEDA asks: as often as a HorizontalPodAutoscaler."""

WAKING_SECONDS: Final = 2
"""The same where a request may be waiting for the first pod."""

LEAST_COOLDOWN_SECONDS: Final = 60
"""Least quiet time before the last pod goes: Prometheus tells of a stream only after its next scrape."""

RATE_WINDOW: Final = "1m"

NAMES: Final = {
    MetricType.ACTIVE_STREAMS: metrics.ACTIVE_STREAMS,
    MetricType.TOKENS_PER_SECOND: metrics.TOKENS_PER_SECOND,
    MetricType.QUEUED_TURNS: metrics.QUEUED_TURNS,
}
"""As metrics of pods on custom.metrics.k8s.io."""


def autoscalers(owner: Owner, spec: ChatDeploymentSpec, *, foreign_metrics: bool) -> tuple[Manifest, ...]:
    """Return the one object that scales the Deployment; none while `spec` asks for none or is suspended.

    `foreign_metrics`: the pods' metrics would come from somebody else's adapter, which does not know them.
    """
    autoscaling = spec.autoscaling
    if autoscaling is None or spec.suspend:
        return ()
    signals = autoscaling.metrics or [ScalingMetric(type=MetricType.ACTIVE_STREAMS)]
    cap = spec.streaming.max_streams_per_pod
    if autoscaling.keda:
        triggers = [_trigger(owner.ref, autoscaling.keda, signal, cap) for signal in signals]
        if may_sleep(spec):
            triggers.append(_waking(owner.ref, cap))
        return (_scaled_object(owner, autoscaling, triggers),)
    if autoscaling.source is Source.BUILTIN and foreign_metrics:
        return (_fallback(owner, autoscaling, signals),)
    return (_pod_autoscaler(owner, autoscaling, [_metric(signal, cap) for signal in signals], _behavior(autoscaling)),)


def _target(name: str) -> Manifest:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}


def _behavior(autoscaling: Autoscaling) -> Manifest:
    return dict(autoscaling.behavior.document())


def _pod_autoscaler(owner: Owner, autoscaling: Autoscaling, signals: list[Manifest], behavior: Manifest) -> Manifest:
    manifest = child(owner, ("autoscaling/v2", "HorizontalPodAutoscaler"), owner.ref.name, names.COMPONENT_API)
    manifest["spec"] = {
        "scaleTargetRef": _target(owner.ref.name),
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": signals,
        "behavior": behavior,
    }
    return manifest


def _metric(signal: ScalingMetric, cap: int) -> Manifest:
    if signal.type is MetricType.CPU:
        return _cpu(signal.average_utilization)
    target = {"type": "AverageValue", "averageValue": _per_pod(signal, cap)}
    return {"type": "Pods", "pods": {"metric": {"name": NAMES[signal.type]}, "target": target}}


def _cpu(percent: int | None) -> Manifest:
    """Return the use of our container alone: a sidecar without a request would make the pod's unknown."""
    target = {"type": "Utilization", "averageUtilization": percent or DEFAULT_SHARE}
    resource = {"name": "cpu", "container": names.CONTAINER_API, "target": target}
    return {"type": "ContainerResource", "containerResource": resource}


def _per_pod(signal: ScalingMetric, cap: int) -> str:
    return signal.average_value or str(max(1, cap * DEFAULT_SHARE // 100))


def _fallback(owner: Owner, autoscaling: Autoscaling, signals: list[ScalingMetric]) -> Manifest:
    """Return what is safe without the pods' own metrics: pods come by CPU, and none goes.

    CPU is low while streams wait for a slow upstream: taking pods away by it would take those that are busy.
    """
    asked = next((signal.average_utilization for signal in signals if signal.type is MetricType.CPU), None)
    behavior = _behavior(autoscaling)
    behavior["scaleDown"]["selectPolicy"] = "Disabled"
    return _pod_autoscaler(owner, autoscaling, [_cpu(asked)], behavior)


def _scaled_object(owner: Owner, autoscaling: Autoscaling, triggers: list[Manifest]) -> Manifest:
    manifest = child(owner, ("keda.sh/v1alpha1", "ScaledObject"), owner.ref.name, names.COMPONENT_API)
    quiet = autoscaling.behavior.scale_down.stabilization_window_seconds
    manifest["spec"] = {
        "scaleTargetRef": _target(owner.ref.name),
        "minReplicaCount": autoscaling.min_replicas,
        "maxReplicaCount": autoscaling.max_replicas,
        "pollingInterval": POLLING_SECONDS if autoscaling.min_replicas else WAKING_SECONDS,
        "cooldownPeriod": max(quiet, LEAST_COOLDOWN_SECONDS),
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(autoscaling)}},
        "triggers": triggers,
    }
    return manifest


def _waking(ref: Ref, cap: int) -> Manifest:
    """Return the trigger of those who wait: one wakes a pod, and many wake as many as their streams will need."""
    target = _per_pod(ScalingMetric(type=MetricType.ACTIVE_STREAMS), cap)
    metadata = {"url": queue_url(ref), "valueLocation": "waiting", "targetValue": target}
    return {"type": "metrics-api", "metadata": metadata}


def _trigger(ref: Ref, keda: Keda, signal: ScalingMetric, cap: int) -> Manifest:
    if signal.type is MetricType.CPU:
        metadata = {"value": str(signal.average_utilization), "containerName": names.CONTAINER_API}
        return {"type": "cpu", "metricType": "Utilization", "metadata": metadata}
    threshold = f"{quantity(_per_pod(signal, cap)):f}"
    # No value is an error and not zero: what cannot be measured must not look idle.
    return _prometheus(keda, query=_query(ref, signal.type), threshold=threshold, ignoreNullValues="false")


def _prometheus(keda: Keda, **metadata: str) -> Manifest:
    return {"type": "prometheus", "metadata": {"serverAddress": keda.prometheus_url, **metadata}}


def _query(ref: Ref, type_: MetricType) -> str:
    """Return the sum over the Deployment's pods in PromQL; without pods that are scraped it has no value."""
    pods = f'{{namespace="{ref.namespace}",pod=~"{ref.name}-[a-z0-9]+-[a-z0-9]+"}}'
    if type_ is not MetricType.TOKENS_PER_SECOND:
        return f"sum({NAMES[type_]}{pods})"
    # A counter has no series before its first token.
    return f"sum(rate({metrics.TOKENS_TOTAL}{pods}[{RATE_WINDOW}])) or 0 * sum({metrics.ACTIVE_STREAMS}{pods})"
