"""The ScaledObject of KEDA, and its queries to Prometheus."""

from typing import Final

from chatfleet_contract import metrics, names
from chatfleet_contract.spec.autoscaling import Keda, MetricType, ScalingMetric
from chatfleet_operator.children.activator import may_scale_to_zero, queue_url
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import SCALED_OBJECT
from chatfleet_operator.children.labels import new_child
from chatfleet_operator.children.scaling_targets import (
    METRIC_NAMES,
    deployment_target,
    scaling_metrics,
    target_per_pod,
)
from chatfleet_operator.model.compare import quantity
from chatfleet_operator.model.values import Manifest, Ref

POLLING_SECONDS: Final = 15
"""Between two queries of KEDA: as a HorizontalPodAutoscaler."""

ACTIVATION_POLLING_SECONDS: Final = 2
"""The same where a request may be waiting for the first pod."""

MIN_COOLDOWN_SECONDS: Final = 60
"""Least idle time before the last pod is removed: Prometheus knows of a stream only after its next scrape."""

RATE_WINDOW: Final = "1m"

LAST_VALUE_WINDOW: Final = "1h"
"""For so long the last value of a pod counts that exists and cannot be scraped."""


def build(context: BuildContext) -> tuple[Manifest, ...]:
    spec, ref = context.spec, context.ref
    autoscaling = spec.autoscaling
    if autoscaling is None or spec.suspend or autoscaling.keda is None:
        return ()
    max_streams = spec.streaming.max_streams_per_pod
    idle = autoscaling.behavior.scale_down.stabilization_window_seconds
    keda = autoscaling.keda
    triggers = [_trigger(ref, keda, metric, max_streams) for metric in scaling_metrics(autoscaling)]
    manifest = new_child(context.owner, SCALED_OBJECT, ref.name, names.COMPONENT_API)
    manifest["spec"] = {
        "scaleTargetRef": deployment_target(ref.name),
        "minReplicaCount": autoscaling.min_replicas,
        "maxReplicaCount": autoscaling.max_replicas,
        "pollingInterval": POLLING_SECONDS if autoscaling.min_replicas else ACTIVATION_POLLING_SECONDS,
        "cooldownPeriod": max(idle, MIN_COOLDOWN_SECONDS),
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": dict(autoscaling.behavior.document())}},
        "triggers": [*triggers, _activation_trigger(ref, max_streams)] if may_scale_to_zero(spec) else triggers,
    }
    return (manifest,)


def _activation_trigger(ref: Ref, max_streams: int) -> Manifest:
    """Return the trigger of waiting requests: one starts a pod, and many start as many as their streams will need."""
    target = target_per_pod(ScalingMetric(type=MetricType.ACTIVE_STREAMS), max_streams)
    metadata = {"url": queue_url(ref), "valueLocation": "waiting", "targetValue": target}
    return {"type": "metrics-api", "metadata": metadata}


def _trigger(ref: Ref, keda: Keda, metric: ScalingMetric, max_streams: int) -> Manifest:
    if metric.type is MetricType.CPU:
        metadata = {"value": str(metric.average_utilization), "containerName": names.CONTAINER_API}
        return {"type": "cpu", "metricType": "Utilization", "metadata": metadata}
    threshold = f"{quantity(target_per_pod(metric, max_streams)):f}"
    # No value is an error and not zero: what cannot be measured must not look idle.
    return _prometheus(keda, query=query(ref, metric.type), threshold=threshold, ignoreNullValues="false")


def _prometheus(keda: Keda, **metadata: str) -> Manifest:
    return {"type": "prometheus", "metadata": {"serverAddress": keda.prometheus_url, **metadata}}


def query(ref: Ref, type_: MetricType) -> str:
    """Return the sum over the Deployment's pods in PromQL; it has no value when no pod can be scraped.

    A pod that exists and cannot be scraped (`up` is 0) counts with its last value: left out, it would look idle, and
    busy pods would be removed. A new pod has none yet. A deleted pod has no `up`, except those of a lost node: they
    count until Kubernetes deletes them, or the hour is over. That is too much, never too little.
    """
    pods = f'{{namespace="{ref.namespace}",pod=~"{ref.name}-[a-z0-9]+-[a-z0-9]+"}}'
    readable, up = f"sum({metrics.ACTIVE_STREAMS}{pods})", f"on (namespace, pod) up{pods}"
    if type_ is MetricType.TOKENS_PER_SECOND:
        value = f"rate({metrics.TOKENS_TOTAL}{pods}[{RATE_WINDOW}])"
        window = f"({value} and {up} == 1)[{LAST_VALUE_WINDOW}:{RATE_WINDOW}]"  # a rate drops before it is gone
    else:
        value = f"{METRIC_NAMES[type_]}{pods}"
        window = f"{value}[{LAST_VALUE_WINDOW}]"
    total = f"sum((last_over_time({window}) and {up} == 0) or {value})"
    # A counter has no series before its first token.
    return f"({total} or 0 * {readable}) and {readable}"
