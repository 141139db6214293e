"""`status` of a ChatDeployment."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from chatfleet_contract.parts import Part, keyed


class ConditionType(StrEnum):
    """The conditions of every reconciled ChatDeployment."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    CONFIGURATION_VALID = "ConfigurationValid"
    REDIS_AVAILABLE = "RedisAvailable"
    UPSTREAMS_AVAILABLE = "UpstreamsAvailable"
    AUTOSCALING_ACTIVE = "AutoscalingActive"


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition is as it is. Stable: alerts and scripts may match on them."""

    # Ready
    SERVING = "Serving"
    """A request through the Service was answered by a pod that runs the current configuration."""
    SUSPENDED = "Suspended"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_READY_PODS = "NoReadyPods"
    UPDATING = "Updating"
    """An earlier generation still serves while the current one rolls out."""
    REQUEST_FAILED = "RequestFailed"
    """Pods are ready, but a request through the Service was not answered rightly."""
    BLOCKED = "Blocked"
    """Another condition, named in the message, keeps this one from being true."""

    # Progressing
    ROLLING_OUT = "RollingOut"
    COMPLETE = "Complete"
    DEADLINE_EXCEEDED = "DeadlineExceeded"

    # ConfigurationValid
    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    SECRET_MISSING = "SecretMissing"  # a reason, not a secret
    NOT_OWNED = "NotOwned"
    """An object of a name we need exists and is not ours."""
    CHILD_REJECTED = "ChildRejected"
    """The API server refused a child; the message is the server's own."""

    # RedisAvailable, UpstreamsAvailable
    CONNECTED = "Connected"
    AVAILABLE = "Available"
    UNAVAILABLE = "Unavailable"
    NO_POD_REPORT = "NoPodReport"
    """No pod has told yet."""

    # AutoscalingActive
    SCALING = "Scaling"
    """The autoscaler reads its metrics and may set the number of pods."""
    DISABLED = "Disabled"
    """spec.autoscaling is not set."""
    AUTOSCALER_PENDING = "AutoscalerPending"
    """The autoscaler has not told yet."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """The autoscaler cannot read what it scales by, and holds the number of pods; the message is its own."""
    SCALING_FAILED = "ScalingFailed"
    """The autoscaler cannot set the number of pods; the message is its own."""
    METRICS_API_MISSING = "MetricsAPIMissing"
    """Nobody serves custom.metrics.k8s.io."""
    METRICS_API_CONFLICT = "MetricsAPIConflict"
    """Somebody else's adapter serves custom.metrics.k8s.io; pods are added on CPU and not taken away."""
    KEDA_NOT_INSTALLED = "KEDANotInstalled"
    """The cluster knows no ScaledObject."""
    REJECTED = "Rejected"
    """The autoscaler's object was not taken, or stands there and is not ours."""


REASONS: Final[Mapping[ConditionType, tuple[Reason, ...]]] = {
    ConditionType.READY: (
        Reason.SERVING,
        Reason.SUSPENDED,
        Reason.SCALED_TO_ZERO,
        Reason.NO_READY_PODS,
        Reason.UPDATING,
        Reason.REQUEST_FAILED,
        Reason.BLOCKED,
    ),
    ConditionType.PROGRESSING: (
        Reason.ROLLING_OUT,
        Reason.COMPLETE,
        Reason.DEADLINE_EXCEEDED,
        Reason.BLOCKED,
    ),
    ConditionType.CONFIGURATION_VALID: (
        Reason.VALID,
        Reason.INVALID_SPEC,
        Reason.NOT_OWNED,
        Reason.CHILD_REJECTED,
        Reason.SECRET_MISSING,
    ),
    ConditionType.REDIS_AVAILABLE: (
        Reason.CONNECTED,
        Reason.UNAVAILABLE,
        Reason.NO_POD_REPORT,
    ),
    ConditionType.UPSTREAMS_AVAILABLE: (
        Reason.AVAILABLE,
        Reason.UNAVAILABLE,
        Reason.NO_POD_REPORT,
    ),
    ConditionType.AUTOSCALING_ACTIVE: (
        Reason.SCALING,
        Reason.SCALED_TO_ZERO,
        Reason.DISABLED,
        Reason.SUSPENDED,
        Reason.AUTOSCALER_PENDING,
        Reason.METRICS_UNAVAILABLE,
        Reason.METRICS_API_MISSING,
        Reason.METRICS_API_CONFLICT,
        Reason.SCALING_FAILED,
        Reason.KEDA_NOT_INSTALLED,
        Reason.REJECTED,
        Reason.BLOCKED,
    ),
}
"""The reasons that each condition may have."""


class Condition(Part):
    """A condition, as metav1.Condition of Kubernetes."""

    type: Annotated[str, Field(max_length=316)] = Field(description="Type of the condition.")
    status: ConditionStatus = Field(description="Status of the condition: True, False or Unknown.")
    reason: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Machine-readable cause, in CamelCase."
    )
    message: Annotated[str, Field(max_length=32768)] = Field(description="Human-readable cause and remedy.")
    observed_generation: int = Field(ge=0, description="metadata.generation that the condition was set for.")
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] = Field(
        description="Time of the last change of `status` (UTC)."
    )


class ChatDeploymentStatus(Part):
    """The observed state of a chat API."""

    observed_generation: int | None = Field(
        None, ge=0, description="metadata.generation that the operator last reconciled."
    )
    desired_replicas: int | None = Field(
        None, ge=0, description="Desired number of pods: of spec.replicas or of the autoscaler; 0 if suspended."
    )
    replicas: int | None = Field(None, ge=0, description="Number of pods.")
    ready_replicas: int | None = Field(None, ge=0, description="Number of ready pods.")
    selector: str | None = Field(None, description="Label selector of the pods, for the scale subresource.")
    url: str | None = Field(None, description="URL of the API inside the cluster.")
    active_streams: int | None = Field(None, ge=0, description="Open streams of all pods.")
    tokens_per_second: int | None = Field(
        None, ge=0, description="Input and output tokens per second of all pods, over the last seconds."
    )
    template_revision: str | None = Field(
        None, description="Revision of the current pod templates. Progressing names a newer revision, if there is one."
    )
    redis: str | None = Field(None, description="Type of the Redis: managed or external.")
    models: list[str] | None = Field(
        None, description="Names of the models.", json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    conditions: Annotated[list[Condition], Field(json_schema_extra=keyed("type"))] | None = Field(
        None, description="Conditions of the ChatDeployment."
    )
