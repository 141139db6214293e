"""The ScaledObject of KEDA, and what it asks Prometheus."""

from typing import Final

from chatfleet_contract import metrics, names
from chatfleet_contract.autoscaling import Autoscaling, Keda, MetricType, ScalingMetric
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children.activator import may_scale_to_zero, queue_url
from chatfleet_operator.children.labels import Owner, child
from chatfleet_operator.children.targets import NAMES, deployment_target, per_pod
from chatfleet_operator.model.compare import quantity
from chatfleet_operator.model.values import Manifest, Ref

POLLING_SECONDS: Final = 15
"""How often KEDA asks: as often as a HorizontalPodAutoscaler."""

WAKING_SECONDS: Final = 2
"""The same where a request may be waiting for the first pod."""

LEAST_COOLDOWN_SECONDS: Final = 60
"""Least quiet time before the last pod goes: Prometheus tells of a stream only after its next scrape."""

RATE_WINDOW: Final = "1m"

REMEMBERED: Final = "1h"
"""For so long the last word of a pod counts that is there and cannot be read."""


def scaled_object(
    owner: Owner, spec: ChatDeploymentSpec, autoscaling: Autoscaling, keda: Keda, signals: list[ScalingMetric]
) -> Manifest:
    """Return the ScaledObject by which KEDA scales the Deployment on `signals`."""
    cap, quiet = spec.streaming.max_streams_per_pod, autoscaling.behavior.scale_down.stabilization_window_seconds
    triggers = [_trigger(owner.ref, keda, signal, cap) for signal in signals]
    manifest = child(owner, ("keda.sh/v1alpha1", "ScaledObject"), owner.ref.name, names.COMPONENT_API)
    manifest["spec"] = {
        "scaleTargetRef": deployment_target(owner.ref.name),
        "minReplicaCount": autoscaling.min_replicas,
        "maxReplicaCount": autoscaling.max_replicas,
        "pollingInterval": POLLING_SECONDS if autoscaling.min_replicas else WAKING_SECONDS,
        "cooldownPeriod": max(quiet, LEAST_COOLDOWN_SECONDS),
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": dict(autoscaling.behavior.document())}},
        "triggers": [*triggers, _waking(owner.ref, cap)] if may_scale_to_zero(spec) else triggers,
    }
    return manifest


def _waking(ref: Ref, cap: int) -> Manifest:
    """Return the trigger of those who wait: one wakes a pod, and many wake as many as their streams will need."""
    target = per_pod(ScalingMetric(type=MetricType.ACTIVE_STREAMS), cap)
    metadata = {"url": queue_url(ref), "valueLocation": "waiting", "targetValue": target}
    return {"type": "metrics-api", "metadata": metadata}


def _trigger(ref: Ref, keda: Keda, signal: ScalingMetric, cap: int) -> Manifest:
    if signal.type is MetricType.CPU:
        metadata = {"value": str(signal.average_utilization), "containerName": names.CONTAINER_API}
        return {"type": "cpu", "metricType": "Utilization", "metadata": metadata}
    threshold = f"{quantity(per_pod(signal, cap)):f}"
    # No value is an error and not zero: what cannot be measured must not look idle.
    return _prometheus(keda, query=query(ref, signal.type), threshold=threshold, ignoreNullValues="false")


def _prometheus(keda: Keda, **metadata: str) -> Manifest:
    return {"type": "prometheus", "metadata": {"serverAddress": keda.prometheus_url, **metadata}}


def query(ref: Ref, type_: MetricType) -> str:
    """Return the sum over the Deployment's pods in PromQL; it has no value when no pod can be read.

    A pod that is there and cannot be read (`up` is 0) counts with its last word: left out, it would look idle, and the
    busy ones go. One that is new has none yet. One that is gone has no `up`, but for those of a node that is lost: they
    count until Kubernetes gives the node up, or the hour is over. That is too much, never too little.
    """
    pods = f'{{namespace="{ref.namespace}",pod=~"{ref.name}-[a-z0-9]+-[a-z0-9]+"}}'
    readable, up = f"sum({metrics.ACTIVE_STREAMS}{pods})", f"on (namespace, pod) up{pods}"
    if type_ is MetricType.TOKENS_PER_SECOND:
        told = f"rate({metrics.TOKENS_TOTAL}{pods}[{RATE_WINDOW}])"
        words = f"({told} and {up} == 1)[{REMEMBERED}:{RATE_WINDOW}]"  # a rate dies away before it is gone
    else:
        told = f"{NAMES[type_]}{pods}"
        words = f"{told}[{REMEMBERED}]"
    total = f"sum((last_over_time({words}) and {up} == 0) or {told})"
    # A counter has no series before its first token.
    return f"({total} or 0 * {readable}) and {readable}"
