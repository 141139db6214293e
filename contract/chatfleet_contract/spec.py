"""`spec` of a ChatDeployment.

The models are the source of the CRD (`chatfleet_contract.crd`): descriptions, defaults, bounds, enums and CEL rules
stand beside the field they constrain. Every field here is implemented.
"""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field

from chatfleet_contract.autoscaling import Autoscaling
from chatfleet_contract.parts import PRESERVE, Json, Part, rule, rules
from chatfleet_contract.providers import CATALOGUE_RULES, Catalogue, Providers, SecretKeyRef

MAX_NAME = 46
"""Longest name of a ChatDeployment: pods of `<name>-redis` carry a label `<name>-redis-<hash of 10>`, at most 63."""


class AppendFsync(StrEnum):
    """When Redis flushes its append-only file to disk (`appendfsync` of redis.conf)."""

    ALWAYS = "always"
    EVERYSEC = "everysec"
    NO = "no"


class ManagedRedis(Part):
    """A single Redis with an append-only file, run by the operator."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "quantity(self.storage).compareTo(quantity(oldSelf.storage)) >= 0",
                "redis.managed.storage must not shrink, because a volume cannot shrink; restore the old size or raise"
                " it",
                ".storage",
            ),
            rule(
                "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) ||"
                " self.storageClassName == oldSelf.storageClassName)",
                "redis.managed.storageClassName must not change, because a volume cannot move; restore the old class,"
                " or create another ChatDeployment",
                ".storageClassName",
            ),
        )
    )

    storage: Annotated[str, Field(pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$", max_length=16)] = Field(
        "1Gi", description="Size of the volume, such as 1Gi. It can grow if the StorageClass allows expansion."
    )
    storage_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        None, description="StorageClass of the volume. Unset: the default StorageClass of the cluster."
    )
    append_fsync: AppendFsync = Field(
        AppendFsync.EVERYSEC,
        description="When Redis flushes writes to disk: always, everysec or no (appendfsync of redis.conf).",
    )


class Redis(Part):
    """The Redis that stores conversations and the logs of running streams."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.urlSecretRef) != has(self.managed)",
                "redis must have exactly one of urlSecretRef and managed; set one and remove the other",
            ),
            rule(
                "self.waitReplicas == 0 || has(self.urlSecretRef)",
                "redis.waitReplicas must be 0 without urlSecretRef, because the managed Redis has no replicas; set it"
                " to 0",
                ".waitReplicas",
            ),
        )
    )

    url_secret_ref: SecretKeyRef | None = Field(
        None,
        description="Secret key with the URL of your own Redis: redis://, rediss://, redis+sentinel:// or"
        " redis+cluster://.",
    )
    managed: ManagedRedis | None = Field(None, description="A Redis that the operator runs for this ChatDeployment.")
    wait_replicas: int = Field(
        0,
        ge=0,
        le=5,
        description="Replicas of your Redis that must confirm a message before the pod acknowledges it (WAIT). With"
        " fewer confirmations the pod returns 503 with Retry-After. 0: do not wait.",
    )


OnClientDisconnect: TypeAlias = Literal["continue", "cancel"]
OnBusy: TypeAlias = Literal["reject", "enqueue", "interrupt"]


class Conversations(Part):
    """Retention of conversations, and the life of their answers."""

    ttl_seconds: int = Field(
        2_592_000,
        ge=60,
        le=315_360_000,
        description="Seconds after its last change until a conversation is deleted. Default: 30 days.",
    )
    on_client_disconnect: OnClientDisconnect = Field(
        "continue",
        description="What happens to an answer when its client disconnects. continue: it runs to its end, and clients"
        " can join it again. cancel: it stops, and the text so far is stored.",
    )
    on_busy: OnBusy = Field(
        "reject",
        description="What happens to a message that arrives while the conversation has a running answer; a request can"
        " override it (on_busy). reject: 409. enqueue: the message waits in a queue. interrupt: the running answer"
        " stops, its text so far is stored, and the new message is answered.",
    )
    save_interval_milliseconds: int = Field(
        50,
        ge=10,
        le=10_000,
        description="Upper bound, in milliseconds, of model output that is lost when a pod dies while Redis is"
        " reachable. Clients never receive output that is not stored; the pod stores it every 15 ms, or every half of"
        " this value if that is shorter.",
    )


class Streaming(Part):
    """Limits and timers of streams."""

    max_streams_per_pod: int = Field(
        500,
        ge=1,
        le=20_000,
        description="Maximum of concurrent streams per pod. The pod rejects further requests with 503 and Retry-After.",
    )
    max_stream_seconds: int = Field(
        600,
        ge=1,
        le=86_400,
        description="Maximum duration of a stream. A terminating pod waits that long for its open streams.",
    )
    heartbeat_seconds: int = Field(
        15,
        ge=1,
        le=300,
        description="Seconds without an event after which the pod sends a comment to keep the connection open.",
    )
    drain_seconds: int = Field(
        10,
        ge=0,
        le=300,
        description="Seconds that a terminating pod still accepts requests, while load balancers remove it. 0: none.",
    )
    log_ttl_seconds: int = Field(
        3600,
        ge=60,
        le=604_800,
        alias="logTTLSeconds",
        description="Seconds that the events of a finished stream stay readable, for clients that resume.",
    )


class LogLevel(StrEnum):
    """Minimum severity of log lines."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Format of log lines."""

    JSON = "json"
    TEXT = "text"


class Observability(Part):
    """Logging of the pods."""

    log_level: LogLevel = Field(LogLevel.INFO, description="Minimum severity of log lines.")
    log_format: LogFormat = Field(LogFormat.JSON, description="Format of log lines: json or text.")


class ServiceType(StrEnum):
    """Supported types of the Service."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class ServiceExposure(Part):
    """The Service in front of the pods."""

    type: ServiceType = Field(ServiceType.CLUSTER_IP, description="Type of the Service.")
    port: int = Field(80, ge=1, le=65_535, description="Port of the Service.")
    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Annotations of the Service, for example for a load balancer."
    )


class Exposure(Part):
    """How clients reach the pods."""

    service: ServiceExposure = Field(ServiceExposure(), description="The Service in front of the pods.")


PodField = Annotated[Json, Field(json_schema_extra=PRESERVE)]
"""A part of a pod's spec that is copied without change; the API server validates it in the Deployment."""


class Template(Part):
    """Additions to the pod template. Fields are those of a Kubernetes pod."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None, description="Image of the API. Unset: the image configured in the operator."
    )
    resources: PodField = Field(default_factory=dict, description="Resource requests and limits of the container.")
    node_selector: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Labels that a node must have to run the pods."
    )
    tolerations: Annotated[list[PodField], Field(max_length=64)] = Field(
        default_factory=list, description="Tolerations of the pods."
    )
    affinity: PodField = Field(default_factory=dict, description="Affinity of the pods.")
    topology_spread_constraints: Annotated[list[PodField], Field(max_length=16)] = Field(
        default_factory=list, description="Topology spread constraints of the pods."
    )
    priority_class_name: Annotated[str, Field(max_length=253)] | None = Field(
        None, description="PriorityClass of the pods."
    )
    labels: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Additional labels of the pods."
    )
    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Additional annotations of the pods."
    )
    env: Annotated[list[PodField], Field(max_length=128)] = Field(
        default_factory=list, description="Additional environment variables of the container."
    )


SCALE_TO_ZERO_RULE = rule(
    "!has(self.autoscaling) || self.autoscaling.minReplicas > 0 || self.streaming.drainSeconds >= 5",
    "streaming.drainSeconds must be at least 5 with autoscaling.minReplicas 0, so that the activator can take over from"
    " the last pod; raise drainSeconds or minReplicas",
    ".streaming.drainSeconds",
)


class ChatDeploymentSpec(Part):
    """The desired state of a chat API."""

    model_config = ConfigDict(json_schema_extra=rules(*CATALOGUE_RULES, SCALE_TO_ZERO_RULE))

    replicas: int = Field(
        2, ge=0, le=1000, description="Number of pods, unless autoscaling is set. `kubectl scale` sets this field."
    )
    suspend: bool = Field(
        default=False, description="Drain the pods and scale to zero. Stored state and configuration are kept."
    )
    providers: Providers = Field(description="The upstream APIs that answer requests.")
    models: Catalogue = Field(description="The model catalogue: the models that clients can request.")
    redis: Redis = Field(
        description="The Redis that stores conversations and streams: exactly one of urlSecretRef and managed."
    )
    conversations: Conversations = Field(
        Conversations(), description="Retention of conversations, and the life of their answers."
    )
    streaming: Streaming = Field(Streaming(), description="Limits and timers of streams.")
    autoscaling: Autoscaling | None = Field(
        None, description="Scale the number of pods with load. Unset: spec.replicas sets it."
    )
    observability: Observability = Field(Observability(), description="Logging of the pods.")
    exposure: Exposure = Field(Exposure(), description="How clients reach the pods.")
    template: Template = Field(Template(), description="Additions to the pod template.")


RESOURCE_RULES = (
    rule(
        f"self.metadata.name.size() <= {MAX_NAME} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        f"metadata.name must have at most {MAX_NAME} lower-case letters, digits and dashes and start with a letter,"
        " because labels and names of child objects contain it; rename the object",
        ".metadata.name",
    ),
)
"""Rules of the whole object, beyond its spec."""
