"""The HorizontalPodAutoscaler of the Deployment, unless KEDA makes one (`scaled_object.py`).

Its target is the Deployment, so that nothing stands between it and the pods whose streams it counts, and Kubernetes
and KEDA detect a second autoscaler of the same Deployment. Without metrics neither removes pods.
"""

from chatfleet_contract import names
from chatfleet_contract.spec.autoscaling import DEFAULT_TARGET_PERCENT, Autoscaling, MetricType, ScalingMetric, Source
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import HORIZONTAL_POD_AUTOSCALER
from chatfleet_operator.children.labels import Owner, new_child
from chatfleet_operator.children.scaling_targets import (
    METRIC_NAMES,
    deployment_target,
    scaling_metrics,
    target_per_pod,
)
from chatfleet_operator.model.values import Manifest


def build(context: BuildContext) -> tuple[Manifest, ...]:
    autoscaling = context.spec.autoscaling
    if autoscaling is None or context.spec.suspend or autoscaling.keda:
        return ()
    metrics = scaling_metrics(autoscaling)
    if autoscaling.source is Source.BUILTIN and context.live.foreign_metrics:
        return (_by_cpu_without_scale_down(context.owner, autoscaling, metrics),)
    max_streams = context.spec.streaming.max_streams_per_pod
    targets = [_metric(metric, max_streams) for metric in metrics]
    return (_autoscaler(context.owner, autoscaling, targets, _behavior(autoscaling)),)


def _behavior(autoscaling: Autoscaling) -> Manifest:
    return dict(autoscaling.behavior.document())


def _autoscaler(owner: Owner, autoscaling: Autoscaling, metrics: list[Manifest], behavior: Manifest) -> Manifest:
    manifest = new_child(owner, HORIZONTAL_POD_AUTOSCALER, owner.ref.name, names.COMPONENT_API)
    manifest["spec"] = {
        "scaleTargetRef": deployment_target(owner.ref.name),
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": metrics,
        "behavior": behavior,
    }
    return manifest


def _metric(metric: ScalingMetric, max_streams: int) -> Manifest:
    if metric.type is MetricType.CPU:
        return _cpu(metric.average_utilization)
    target = {"type": "AverageValue", "averageValue": target_per_pod(metric, max_streams)}
    return {"type": "Pods", "pods": {"metric": {"name": METRIC_NAMES[metric.type]}, "target": target}}


def _cpu(percent: int | None) -> Manifest:
    """Return the use of our container alone: a sidecar without a request would make the pod's unknown."""
    target = {"type": "Utilization", "averageUtilization": percent or DEFAULT_TARGET_PERCENT}
    resource = {"name": "cpu", "container": names.CONTAINER_API, "target": target}
    return {"type": "ContainerResource", "containerResource": resource}


def _by_cpu_without_scale_down(owner: Owner, autoscaling: Autoscaling, metrics: list[ScalingMetric]) -> Manifest:
    """Return what is safe without the pods' own metrics: CPU adds pods, and nothing removes them.

    CPU is low while streams wait for a slow upstream: scaling down by it would remove the pods that are busy.
    """
    percent = next((metric.average_utilization for metric in metrics if metric.type is MetricType.CPU), None)
    behavior = _behavior(autoscaling)
    behavior["scaleDown"]["selectPolicy"] = "Disabled"
    return _autoscaler(owner, autoscaling, [_cpu(percent)], behavior)
