"""What a ChatDeployment says about how many pods run: by which signals, between which bounds, how fast."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, keyed, rule, rules

MAX_METRICS = 4
"""As many as there are types."""

Quantity = Annotated[str, Field(max_length=20)]
"""A number as Kubernetes writes it, such as 350, 1.5k or 500m; a rule says that it must be one."""


class Source(StrEnum):
    """Where the metrics come from, and with that which object scales."""

    BUILTIN = "builtin"
    PROMETHEUS = "prometheus"
    KEDA = "keda"


class MetricType(StrEnum):
    """What the number of pods may follow."""

    ACTIVE_STREAMS = "ActiveStreams"
    TOKENS_PER_SECOND = "TokensPerSecond"
    QUEUED_REQUESTS = "QueuedRequests"
    CPU = "CPU"


class ScalingMetric(Part):
    """One signal, and how much of it a pod should carry."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.type == 'CPU') == has(self.averageUtilization)",
                "averageUtilization is what type CPU needs and no other takes; set it for CPU, averageValue for others",
                ".averageUtilization",
            ),
            rule(
                "has(self.averageValue) ? self.type != 'CPU' : self.type in ['ActiveStreams', 'CPU']",
                "averageValue is what TokensPerSecond and QueuedRequests need and CPU does not take;"
                " set it for these, averageUtilization for CPU",
                ".averageValue",
            ),
            rule(
                "!has(self.averageValue)"
                " || (isQuantity(self.averageValue) && quantity(self.averageValue).isGreaterThan(quantity('0')))",
                'averageValue must be a quantity above 0; write it like "350" or "1.5k"',
                ".averageValue",
            ),
        )
    )

    type: MetricType = Field(
        description="ActiveStreams: streams that are open. TokensPerSecond: tokens sent and got. QueuedRequests: turns"
        " that wait in line. CPU: the container's use, in percent of its request."
    )
    average_value: Quantity | None = Field(
        None,
        description='What one pod should carry, such as "350". Unset with ActiveStreams: 70 percent of'
        " streaming.maxStreamsPerPod.",
    )
    average_utilization: int | None = Field(
        None, ge=1, le=1000, description="For CPU: percent of template.resources.requests.cpu that a pod should use."
    )


class PolicyType(StrEnum):
    """What a scaling policy counts in."""

    PODS = "Pods"
    PERCENT = "Percent"


class ScalingPolicy(Part):
    """How much may change in a time."""

    type: PolicyType = Field(description="Pods, or Percent of the pods that run.")
    value: int = Field(ge=1, le=1000, description="How many pods, or how many percent.")
    period_seconds: int = Field(ge=1, le=1800, description="In how many seconds.")


class SelectPolicy(StrEnum):
    """Which of several policies counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


Policies = Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)]
Window = Annotated[int, Field(ge=0, le=3600)]

_WINDOW = "Seconds back over which the calmest recommendation counts."
_SELECT = "Which policy counts: Max or Min of what they allow, or Disabled for no change at all."
_POLICIES = "How much may change in a time."
_TOLERANCE = (
    'Share of the target by which a metric may differ and change nothing, such as "0.05". Needs Kubernetes 1.37, or the'
    " feature HPAConfigurableTolerance; unset: what the cluster says, mostly 0.1."
)
Tolerance = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+(\.[0-9]+)?m?$")]


class ScaleUp(Part):
    """How fast pods are added: at once, as streams do not wait."""

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
    """How fast pods are taken away: slowly, as each has streams to finish."""

    stabilization_window_seconds: Window = Field(300, description=_WINDOW)
    select_policy: SelectPolicy = Field(SelectPolicy.MIN, description=_SELECT)
    policies: Policies = Field([ScalingPolicy(type=PolicyType.PODS, value=1, period_seconds=60)], description=_POLICIES)
    tolerance: Tolerance | None = Field(None, description=_TOLERANCE)


class Behavior(Part):
    """How fast the number of pods changes, as in a HorizontalPodAutoscaler."""

    scale_up: ScaleUp = Field(ScaleUp(), description="How pods are added. Default: at once, up to double or 4 in 15 s.")
    scale_down: ScaleDown = Field(
        ScaleDown(), description="How pods are taken away. Default: 1 a minute, after 5 quiet minutes."
    )


class Keda(Part):
    """What only KEDA asks for."""

    prometheus_url: Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")] = Field(
        alias="prometheusURL",
        description="Where KEDA asks for the pods' metrics, such as http://prometheus.monitoring.svc:9090.",
    )


class Autoscaling(Part):
    """How many pods run, by what they have to do."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.minReplicas <= self.maxReplicas",
                "autoscaling.minReplicas must not exceed autoscaling.maxReplicas;"
                " lower minReplicas or raise maxReplicas",
                ".minReplicas",
            ),
            rule(
                "self.minReplicas > 0 || self.source == 'keda'",
                "autoscaling.minReplicas 0 needs source keda, as nothing else wakes pods that are not there;"
                " set source keda, or minReplicas 1",
                ".minReplicas",
            ),
            rule(
                "(self.source == 'keda') == has(self.keda)",
                "autoscaling.keda is needed with source keda and only allowed there;"
                " set keda.prometheusURL or remove keda",
                ".keda",
            ),
        )
    )

    min_replicas: int = Field(
        2,
        ge=0,
        le=1000,
        description="Fewest pods. 0 with source keda alone; a waiting room then holds the requests that wake one.",
    )
    max_replicas: int = Field(ge=1, le=1000, description="Most pods.")
    source: Source = Field(
        Source.BUILTIN,
        description="builtin: the metrics adapter of Chatfleet, no Prometheus needed. prometheus: the adapter for"
        " custom.metrics.k8s.io that you run. keda: a ScaledObject, with KEDA asking Prometheus.",
    )
    metrics: Annotated[list[ScalingMetric], Field(max_length=MAX_METRICS, json_schema_extra=keyed("type"))] = Field(
        default_factory=list,
        description="Signals, each type at most once; the one that wants most pods counts. None: ActiveStreams alone.",
    )
    activation_timeout_seconds: int = Field(
        120,
        ge=1,
        le=3600,
        description="With minReplicas 0: seconds that a request waits for the first pod before it is refused with 503.",
    )
    behavior: Behavior = Field(Behavior(), description="How fast the number of pods changes.")
    keda: Keda | None = Field(None, description="What source keda needs.")

    @property
    def by_cpu_alone(self) -> bool:
        """Whether no figure of the pods' own counts."""
        return bool(self.metrics) and all(signal.type is MetricType.CPU for signal in self.metrics)
