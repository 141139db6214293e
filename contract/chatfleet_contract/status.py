"""`status` of a ChatDeployment."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from chatfleet_contract.parts import Part, keyed


class ConditionType(StrEnum):
    """The conditions of every reconciled ChatDeployment.

    `Reconciling`, `Stalled` and `Testing` are there only while they are True, `ArchiveAvailable` only with an archive,
    `KnowledgeAvailable` only with a collection of ChromaDB.
    """

    READY = "Ready"
    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    CONFIGURATION_VALID = "ConfigurationValid"
    REDIS_AVAILABLE = "RedisAvailable"
    ARCHIVE_AVAILABLE = "ArchiveAvailable"
    KNOWLEDGE_AVAILABLE = "KnowledgeAvailable"
    UPSTREAMS_AVAILABLE = "UpstreamsAvailable"
    AUTOSCALING_ACTIVE = "AutoscalingActive"
    EXPOSED = "Exposed"
    ACCESS_RESTRICTED = "AccessRestricted"
    TESTING = "Testing"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """The cause of a condition's status. Stable: alerts and scripts may match on them; `reasons.py` describes them."""

    BLOCKED = "Blocked"
    SUSPENDED = "Suspended"
    SCALED_TO_ZERO = "ScaledToZero"

    # Ready
    SERVING = "Serving"
    NO_READY_PODS = "NoReadyPods"
    UPDATING = "Updating"
    REQUEST_FAILED = "RequestFailed"
    ASLEEP = "Asleep"
    ACTIVATING = "Activating"

    # Progressing
    ROLLING_OUT = "RollingOut"
    PAUSED = "Paused"
    CONFLICT = "Conflict"
    COMPLETE = "Complete"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    FAILED_CREATE = "FailedCreate"
    VOLUME_UNAVAILABLE = "VolumeUnavailable"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CREATE_CONTAINER_FAILED = "CreateContainerFailed"
    CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"
    OOM_KILLED = "OOMKilled"
    NODE_LOST = "NodeLost"

    # ConfigurationValid
    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    SECRET_MISSING = "SecretMissing"  # a reason, not a secret
    SECRET_INVALID = "SecretInvalid"  # a reason, not a secret
    CONFIG_MAP_MISSING = "ConfigMapMissing"
    SECRET_NOT_ALLOWED = "SecretNotAllowed"  # a reason, not a secret
    FIELD_NOT_ALLOWED = "FieldNotAllowed"
    NOT_OWNED = "NotOwned"
    CHILD_REJECTED = "ChildRejected"
    KNOWLEDGE_UNAVAILABLE = "KnowledgeUnavailable"
    PRICE_UNKNOWN = "PriceUnknown"
    WEBHOOK_UNAVAILABLE = "WebhookUnavailable"
    VOLUME_DIFFERS = "VolumeDiffers"
    INVALID_ANNOTATION = "InvalidAnnotation"

    # RedisAvailable, ArchiveAvailable, KnowledgeAvailable, UpstreamsAvailable
    CONNECTED = "Connected"
    AVAILABLE = "Available"
    UNAVAILABLE = "Unavailable"
    NO_POD_REPORT = "NoPodReport"

    # AutoscalingActive
    SCALING = "Scaling"
    DISABLED = "Disabled"
    AUTOSCALER_PENDING = "AutoscalerPending"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    SCALING_FAILED = "ScalingFailed"
    METRICS_API_MISSING = "MetricsAPIMissing"
    METRICS_API_CONFLICT = "MetricsAPIConflict"
    KEDA_NOT_INSTALLED = "KEDANotInstalled"
    REJECTED = "Rejected"

    # Exposed
    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER_READY = "LoadBalancerReady"
    LOAD_BALANCER_PENDING = "LoadBalancerPending"
    LOAD_BALANCER_FAILED = "LoadBalancerFailed"

    # AccessRestricted
    CREDENTIALS = "Credentials"
    NO_CALLERS = "NoCallers"
    ANONYMOUS = "Anonymous"
    NOT_ENFORCED = "NotEnforced"

    # Testing
    TEST_ROUTES = "TestRoutes"


MAX_CONDITION_MESSAGE: Final = 32768
"""Longest message of a condition that the API server accepts (characters)."""


class Condition(Part):
    """A condition, as metav1.Condition of Kubernetes."""

    type: Annotated[str, Field(max_length=316)] = Field(description="Type of the condition.")
    status: ConditionStatus = Field(description="Status of the condition: True, False or Unknown.")
    reason: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Machine-readable cause, in CamelCase."
    )
    message: Annotated[str, Field(max_length=MAX_CONDITION_MESSAGE)] = Field(
        description="Human-readable cause and remedy."
    )
    observed_generation: int = Field(ge=0, description="metadata.generation that the condition was set for.")
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] = Field(
        description="Time of the last change of `status` (UTC)."
    )


class UsageOfDay(Part):
    """What the answers of one day have used."""

    day: Annotated[str, Field(max_length=10)] = Field(description="The day (UTC).")
    input_tokens: int = Field(ge=0, description="Input tokens of all answers that ended on the day.")
    output_tokens: int = Field(ge=0, description="Output tokens of these answers.")
    cost_usd: Annotated[str, Field(max_length=40)] | None = Field(
        None,
        alias="costUSD",
        description="Cost of these answers in USD, as far as their prices are known. Unset: no price is known.",
    )


class ChatDeploymentStatus(Part):
    """The observed state of a chat API."""

    observed_generation: int | None = Field(
        None, ge=-1, description="metadata.generation that the operator last reconciled; -1 if it never did."
    )
    desired_replicas: int | None = Field(
        None, ge=0, description="Desired number of pods: of spec.replicas or of the autoscaler; 0 if suspended."
    )
    replicas: int | None = Field(None, ge=0, description="Number of pods.")
    ready_replicas: int | None = Field(None, ge=0, description="Number of ready pods.")
    selector: str | None = Field(None, description="Label selector of the pods, for the scale subresource.")
    url: str | None = Field(None, description="URL of the API inside the cluster.")
    external_url: str | None = Field(
        None, alias="externalURL", description="URL of the load balancer, once it has an address."
    )
    active_streams: int | None = Field(None, ge=0, description="Open streams of all pods.")
    tokens_per_second: int | None = Field(
        None, ge=0, description="Input and output tokens per second of all pods, over the last seconds."
    )
    usage: UsageOfDay | None = Field(
        None, description="Tokens and cost of today, of all pods; after a day without pods, of the last day with some."
    )
    budget_used_percent: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Used and reserved part of spec.limits.budget, of its amount that has least left. Unset: no request"
        " of the pods that run has met the budget yet.",
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
