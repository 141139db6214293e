"""`spec.autoscaling`: metrics, bounds and rates of scaling."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, keyed, rule, rules, worded
from chatfleet_contract.spec.urls import port_rule

MAX_METRICS = 4
"""One per type."""
DEFAULT_TARGET_PERCENT: Final = 70
"""Percent of a pod's capacity, streams or CPU, at which pods are added, unless the spec has a target."""

Quantity = Annotated[str, Field(max_length=20)]
"""A Kubernetes quantity, such as 350, 1.5k or 500m; a CEL rule validates it."""


class Source(StrEnum):
    """The source of the metrics. It decides which autoscaler object is created."""

    BUILTIN = "builtin"
    PROMETHEUS = "prometheus"
    KEDA = "keda"


class MetricType(StrEnum):
    """The metrics that the number of pods can follow."""

    ACTIVE_STREAMS = "ActiveStreams"
    TOKENS_PER_SECOND = "TokensPerSecond"
    QUEUED_REQUESTS = "QueuedRequests"
    CPU = "CPU"


class ScalingMetric(Part):
    """A metric and its target per pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.type == 'CPU') == has(self.averageUtilization)",
                "averageUtilization is required for type CPU and only allowed there; set it for CPU, averageValue for"
                " others",
                ".averageUtilization",
            ),
            rule(
                "has(self.averageValue) ? self.type != 'CPU' : self.type in ['ActiveStreams', 'CPU']",
                "averageValue is required for TokensPerSecond and QueuedRequests and not allowed for CPU; set it for"
                " these, averageUtilization for CPU",
                ".averageValue",
            ),
            rule(
                "!has(self.averageValue) || (isQuantity(self.averageValue) &&"
                " quantity(self.averageValue).isGreaterThan(quantity('0')))",
                'averageValue must be a quantity above 0; write it like "350" or "1.5k"',
                ".averageValue",
            ),
        )
    )

    type: MetricType = Field(
        description="ActiveStreams: open streams. TokensPerSecond: input and output tokens per second. QueuedRequests:"
        " requests that wait in a queue of a conversation or for a provider. CPU: utilization of the container, in"
        " percent of its request."
    )
    average_value: Quantity | None = Field(
        None,
        description=f'Target per pod, such as "350". Unset with ActiveStreams: {DEFAULT_TARGET_PERCENT} percent of'
        " streaming.maxStreamsPerPod.",
    )
    average_utilization: int | None = Field(
        None, ge=1, le=1000, description="Target for CPU, in percent of template.resources.requests.cpu."
    )


class PolicyType(StrEnum):
    """Unit of a scaling policy."""

    PODS = "Pods"
    PERCENT = "Percent"


class ScalingPolicy(Part):
    """Maximum change of the number of pods within a period."""

    type: PolicyType = Field(description="Unit of value: Pods, or Percent of the current pods.")
    value: int = Field(ge=1, le=1000, description="Maximum change within the period.")
    period_seconds: int = Field(ge=1, le=1800, description="Length of the period in seconds.")


class SelectPolicy(StrEnum):
    """Which of several policies applies."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


Policies = Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)]
Window = Annotated[int, Field(ge=0, le=3600)]

_WINDOW = "Stabilization window: the most conservative recommendation of the last seconds applies."
_SELECT = "Which policy applies: the one with the Max or Min change, or Disabled for no change."
_POLICIES = "Limits on the rate of change."
_TOLERANCE = (
    'Deviation from the target, as a ratio such as "0.05", that causes no scaling. Needs Kubernetes 1.37 or the feature'
    " gate HPAConfigurableTolerance. Unset: the cluster's default, usually 0.1."
)
Tolerance = Annotated[
    str,
    Field(
        max_length=16,
        pattern=r"^[0-9]+(\.[0-9]+)?m?$",
        json_schema_extra=worded('tolerance must be a ratio, not a percentage; write it like "0.05"'),
    ),
]


class ScaleUp(Part):
    """Rate at which pods are added: at once, because streams cannot wait."""

    stabilization_window_seconds: Window = Field(0, description=_WINDOW)
    select_policy: SelectPolicy = Field(SelectPolicy.MAX, description=_SELECT)
    policies: Policies = Field(
        [
            ScalingPolicy(type=PolicyType.PERCENT, value=100, period_seconds=15),
            ScalingPolicy(type=PolicyType.PODS, value=4, period_seconds=15),
        ],
        description=_POLICIES,
    )
    tolerance: Tolerance | None = Field(None, description=_TOLERANCE)


class ScaleDown(Part):
    """Rate at which pods are removed: slowly, because each pod has streams to finish."""

    stabilization_window_seconds: Window = Field(300, description=_WINDOW)
    select_policy: SelectPolicy = Field(SelectPolicy.MIN, description=_SELECT)
    policies: Policies = Field([ScalingPolicy(type=PolicyType.PODS, value=1, period_seconds=60)], description=_POLICIES)
    tolerance: Tolerance | None = Field(None, description=_TOLERANCE)


class Behavior(Part):
    """Scaling rates, as in a HorizontalPodAutoscaler."""

    scale_up: ScaleUp = Field(
        ScaleUp(), description="Scale-up. Default: without delay, by 100 percent or 4 pods per 15 s, whichever is more."
    )
    scale_down: ScaleDown = Field(
        ScaleDown(), description="Scale-down. Default: 1 pod per minute, after 5 minutes of lower load."
    )


class Keda(Part):
    """Settings of source keda."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.prometheusURL.contains('@')",
                "prometheusURL must be without user and password, because whoever may read the resource could read"
                " them; remove them",
                ".prometheusURL",
            ),
            port_rule("prometheusURL"),
        )
    )

    prometheus_url: Annotated[
        str,
        Field(
            max_length=2048,
            pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
            json_schema_extra=worded(
                "prometheusURL must be an absolute http or https URL without spaces, query or fragment; write it like"
                " http://prometheus.monitoring.svc:9090"
            ),
        ),
    ] = Field(
        alias="prometheusURL",
        description="Prometheus that KEDA queries for the metrics of the pods, such as"
        " http://prometheus.monitoring.svc:9090.",
    )


class Autoscaling(Part):
    """Bounds, metrics and rates of scaling."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.minReplicas <= self.maxReplicas",
                "autoscaling.minReplicas must not exceed autoscaling.maxReplicas; lower minReplicas or raise"
                " maxReplicas",
                ".minReplicas",
            ),
            rule(
                "self.minReplicas > 0 || self.source == 'keda'",
                "autoscaling.minReplicas 0 needs source keda, because a HorizontalPodAutoscaler cannot scale from zero;"
                " set source keda, or minReplicas 1",
                ".minReplicas",
            ),
            rule(
                "(self.source == 'keda') == has(self.keda)",
                "autoscaling.keda is required with source keda and only allowed there; set keda.prometheusURL or remove"
                " keda",
                ".keda",
            ),
        )
    )

    min_replicas: int = Field(
        2,
        ge=0,
        le=1000,
        description="Minimum number of pods. 0 needs source keda; the activator then holds requests until a pod is"
        " ready.",
    )
    max_replicas: int = Field(ge=1, le=1000, description="Maximum number of pods.")
    source: Source = Field(
        Source.BUILTIN,
        description="Source of the metrics. builtin: the metrics API server of Chatfleet. prometheus: your own adapter"
        " for custom.metrics.k8s.io. keda: a ScaledObject, for which KEDA queries Prometheus.",
    )
    metrics: Annotated[list[ScalingMetric], Field(max_length=MAX_METRICS, json_schema_extra=keyed("type"))] = Field(
        default_factory=list,
        description="Metrics, each type at most once; the highest recommendation applies. Empty: ActiveStreams.",
    )
    activation_timeout_seconds: int = Field(
        120,
        ge=1,
        le=3600,
        description="With minReplicas 0: seconds that a request waits for a ready pod before the activator returns"
        " 503.",
    )
    behavior: Behavior = Field(Behavior(), description="Scaling rates, as in a HorizontalPodAutoscaler.")
    keda: Keda | None = Field(None, description="Settings of source keda.")

    @property
    def by_cpu_alone(self) -> bool:
        """Whether CPU is the only metric."""
        return bool(self.metrics) and all(signal.type is MetricType.CPU for signal in self.metrics)

    @property
    def needs_metrics_api_server(self) -> bool:
        """Whether the autoscaler reads metrics of pods from our metrics API server."""
        return self.source is Source.BUILTIN and not self.by_cpu_alone
