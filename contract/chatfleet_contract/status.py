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
    """The cause of a condition's status. Stable: alerts and scripts may match on them.

    `docs/reference/conditions.md` is written from these docstrings, and `docs/operations/troubleshooting.md` has a
    paragraph for each reason of each condition.
    """

    BLOCKED = "Blocked"
    """Another condition, named in the message, prevents this one from being True."""
    SUSPENDED = "Suspended"
    """`spec.suspend` is true."""
    SCALED_TO_ZERO = "ScaledToZero"
    """The desired number of pods is 0."""

    # Ready
    SERVING = "Serving"
    """A request through the Service was answered with the current configuration."""
    NO_READY_PODS = "NoReadyPods"
    """No API pod is ready."""
    UPDATING = "Updating"
    """A rollout is in progress, and an earlier generation may serve requests."""
    REQUEST_FAILED = "RequestFailed"
    """Pods are ready, but a request through the Service failed."""

    # Progressing
    ROLLING_OUT = "RollingOut"
    """Pods of the current generation are not complete."""
    COMPLETE = "Complete"
    """All pods run the current generation."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """The Deployment made no progress within its deadline."""

    # ConfigurationValid
    VALID = "Valid"
    """The spec, its Secrets and all child objects are accepted."""
    INVALID_SPEC = "InvalidSpec"
    """The operator or a pod cannot parse the spec."""
    SECRET_MISSING = "SecretMissing"  # a reason, not a secret
    """A Secret, or a key in it, does not exist."""
    NOT_OWNED = "NotOwned"
    """An object with the name of a child exists that the ChatDeployment does not control."""
    CHILD_REJECTED = "ChildRejected"
    """The API server rejected a child object; the message is that of the API server."""

    # RedisAvailable, UpstreamsAvailable
    CONNECTED = "Connected"
    """Every pod that reports can use Redis."""
    AVAILABLE = "Available"
    """Every provider that was requested responds to at least one pod."""
    UNAVAILABLE = "Unavailable"
    """A pod cannot use Redis, or a provider responds to no pod."""
    NO_POD_REPORT = "NoPodReport"
    """No pod has reported about it yet."""

    # AutoscalingActive
    SCALING = "Scaling"
    """The autoscaler reads its metrics and sets the number of pods."""
    DISABLED = "Disabled"
    """`spec.autoscaling` is not set."""
    AUTOSCALER_PENDING = "AutoscalerPending"
    """The autoscaler has not reported a status yet."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """The autoscaler cannot read its metrics, and removes no pods; the message is that of the autoscaler."""
    SCALING_FAILED = "ScalingFailed"
    """The autoscaler cannot set the number of pods; the message is that of the autoscaler."""
    METRICS_API_MISSING = "MetricsAPIMissing"
    """No server is registered for `custom.metrics.k8s.io`."""
    METRICS_API_CONFLICT = "MetricsAPIConflict"
    """Another adapter serves `custom.metrics.k8s.io`; pods are added on CPU, and none is removed."""
    KEDA_NOT_INSTALLED = "KEDANotInstalled"
    """The cluster has no ScaledObject kind."""
    REJECTED = "Rejected"
    """The API server rejected the autoscaler object, or the ChatDeployment does not control it."""


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
"""The possible reasons of each condition."""


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
