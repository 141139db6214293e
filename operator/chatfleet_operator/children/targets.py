"""What a pod is meant to carry, and by what names that is measured: the same to every autoscaler."""

from typing import Final

from chatfleet_contract import metrics
from chatfleet_contract.autoscaling import MetricType, ScalingMetric
from chatfleet_operator.model.values import Manifest

DEFAULT_SHARE: Final = 70
"""Percent of what a pod can take, streams or CPU, that it should carry when nothing else is said."""

NAMES: Final = {
    MetricType.ACTIVE_STREAMS: metrics.ACTIVE_STREAMS,
    MetricType.TOKENS_PER_SECOND: metrics.TOKENS_PER_SECOND,
    MetricType.QUEUED_REQUESTS: metrics.QUEUED_REQUESTS,
}
"""As metrics of pods on custom.metrics.k8s.io."""


def per_pod(signal: ScalingMetric, cap: int) -> str:
    """Return what a pod should carry of `signal`, as a quantity, when it takes `cap` streams."""
    return signal.average_value or str(max(1, cap * DEFAULT_SHARE // 100))


def deployment_target(name: str) -> Manifest:
    """Return the reference to the Deployment that is scaled."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
