"""What a pod should carry, and under which metric names that is measured: the same for every autoscaler."""

from typing import Final

from chatfleet_contract import metrics
from chatfleet_contract.spec.autoscaling import DEFAULT_TARGET_PERCENT, Autoscaling, MetricType, ScalingMetric
from chatfleet_operator.children.kinds import DEPLOYMENT
from chatfleet_operator.model.values import Manifest

METRIC_NAMES: Final = {
    MetricType.ACTIVE_STREAMS: metrics.ACTIVE_STREAMS,
    MetricType.TOKENS_PER_SECOND: metrics.TOKENS_PER_SECOND,
    MetricType.QUEUED_REQUESTS: metrics.QUEUED_REQUESTS,
}
"""As metrics of pods on custom.metrics.k8s.io."""


def scaling_metrics(autoscaling: Autoscaling) -> list[ScalingMetric]:
    """Return the metrics that `autoscaling` names; by default, the open streams."""
    return autoscaling.metrics or [ScalingMetric(type=MetricType.ACTIVE_STREAMS)]


def target_per_pod(metric: ScalingMetric, max_streams: int) -> str:
    """Return what a pod should carry of `metric`, as a quantity, if it takes at most `max_streams` streams."""
    return metric.average_value or str(max(1, max_streams * DEFAULT_TARGET_PERCENT // 100))


def deployment_target(name: str) -> Manifest:
    """Return the reference to the Deployment that is scaled."""
    return {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.name, "name": name}
