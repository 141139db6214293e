"""What sets the number of pods when the resource asks for it: a HorizontalPodAutoscaler, or a ScaledObject of KEDA.

Its target is the Deployment, so that nothing stands between it and the pods whose streams it counts, and a second
autoscaler of the same Deployment is seen by Kubernetes and KEDA as what it is. Without metrics neither takes pods away.
"""

from chatfleet_contract import names
from chatfleet_contract.autoscaling import Autoscaling, MetricType, ScalingMetric, Source
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children.labels import Owner, child
from chatfleet_operator.children.scaled_object import scaled_object
from chatfleet_operator.children.targets import DEFAULT_SHARE, NAMES, deployment_target, per_pod
from chatfleet_operator.model.values import Manifest


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
        return (scaled_object(owner, spec, autoscaling, autoscaling.keda, signals),)
    if autoscaling.source is Source.BUILTIN and foreign_metrics:
        return (_fallback(owner, autoscaling, signals),)
    return (_pod_autoscaler(owner, autoscaling, [_metric(signal, cap) for signal in signals], _behavior(autoscaling)),)


def _behavior(autoscaling: Autoscaling) -> Manifest:
    return dict(autoscaling.behavior.document())


def _pod_autoscaler(owner: Owner, autoscaling: Autoscaling, signals: list[Manifest], behavior: Manifest) -> Manifest:
    manifest = child(owner, ("autoscaling/v2", "HorizontalPodAutoscaler"), owner.ref.name, names.COMPONENT_API)
    manifest["spec"] = {
        "scaleTargetRef": deployment_target(owner.ref.name),
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": signals,
        "behavior": behavior,
    }
    return manifest


def _metric(signal: ScalingMetric, cap: int) -> Manifest:
    if signal.type is MetricType.CPU:
        return _cpu(signal.average_utilization)
    target = {"type": "AverageValue", "averageValue": per_pod(signal, cap)}
    return {"type": "Pods", "pods": {"metric": {"name": NAMES[signal.type]}, "target": target}}


def _cpu(percent: int | None) -> Manifest:
    """Return the use of our container alone: a sidecar without a request would make the pod's unknown."""
    target = {"type": "Utilization", "averageUtilization": percent or DEFAULT_SHARE}
    resource = {"name": "cpu", "container": names.CONTAINER_API, "target": target}
    return {"type": "ContainerResource", "containerResource": resource}


def _fallback(owner: Owner, autoscaling: Autoscaling, signals: list[ScalingMetric]) -> Manifest:
    """Return what is safe without the pods' own metrics: pods come by CPU, and none goes.

    CPU is low while streams wait for a slow upstream: taking pods away by it would take those that are busy.
    """
    asked = next((signal.average_utilization for signal in signals if signal.type is MetricType.CPU), None)
    behavior = _behavior(autoscaling)
    behavior["scaleDown"]["selectPolicy"] = "Disabled"
    return _pod_autoscaler(owner, autoscaling, [_cpu(asked)], behavior)
