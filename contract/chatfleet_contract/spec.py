"""`spec` of a ChatDeployment: what a platform team asks for.

The models are the source of the CRD (`chatfleet_contract.crd`): descriptions, defaults, bounds, enums and CEL rules
stand beside the field they are about. Only fields that work are here.
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
    """When Redis forces its append-only file to disk (`appendfsync` of redis.conf)."""

    ALWAYS = "always"
    EVERYSEC = "everysec"
    NO = "no"


class ManagedRedis(Part):
    """A single Redis with an append-only file, made and kept by the operator."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "quantity(self.storage).compareTo(quantity(oldSelf.storage)) >= 0",
                "redis.managed.storage can grow but not shrink, as a volume cannot; restore the old size or raise it",
                ".storage",
            ),
            rule(
                "has(self.storageClassName) == has(oldSelf.storageClassName)"
                " && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
                "redis.managed.storageClassName cannot change, as a volume cannot move; restore the old class,"
                " or create a ChatDeployment of another name",
                ".storageClassName",
            ),
        )
    )

    storage: Annotated[str, Field(pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$", max_length=16)] = Field(
        "1Gi", description="Size of the volume, such as 1Gi. It can grow where the StorageClass allows it."
    )
    storage_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        None, description="StorageClass of the volume; unset: the cluster's default."
    )
    append_fsync: AppendFsync = Field(
        AppendFsync.EVERYSEC, description="When writes are forced to disk: always, everysec or no."
    )


class Redis(Part):
    """Where conversations and running streams are kept."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.urlSecretRef) != has(self.managed)",
                "redis needs exactly one of urlSecretRef and managed; set one and remove the other",
            ),
            rule(
                "self.waitReplicas == 0 || has(self.urlSecretRef)",
                "redis.waitReplicas needs urlSecretRef, as the managed Redis has no replicas; set it to 0",
                ".waitReplicas",
            ),
        )
    )

    url_secret_ref: SecretKeyRef | None = Field(
        None,
        description="Secret key that holds the URL of a Redis you run: redis://, rediss://, redis+sentinel:// or redis+cluster://.",
    )
    managed: ManagedRedis | None = Field(None, description="Let the operator run a Redis for this ChatDeployment.")
    wait_replicas: int = Field(
        0,
        ge=0,
        le=5,
        description="Replicas of your Redis that must have a message before it is acknowledged (WAIT), so that a"
        " failover loses none. With fewer of them messages are answered 503 with Retry-After. 0: do not wait.",
    )


OnClientDisconnect: TypeAlias = Literal["continue", "cancel"]
OnBusy: TypeAlias = Literal["reject", "enqueue", "interrupt"]


class Conversations(Part):
    """How conversations are kept, and how their answers are written."""

    ttl_seconds: int = Field(
        2_592_000,
        ge=60,
        le=315_360_000,
        description="Seconds after its last change that a conversation is forgotten. Default: 30 days.",
    )
    on_client_disconnect: OnClientDisconnect = Field(
        "continue",
        description="What becomes of an answer when the client that asked for it leaves. continue: it is written to its"
        " end, and can be joined again. cancel: it ends, and what had come is kept.",
    )
    on_busy: OnBusy = Field(
        "reject",
        description="What becomes of a message that comes while an answer is being written, where the request does not"
        " say (on_busy). reject: it is refused. enqueue: it waits its turn. interrupt: the answer ends, with what had"
        " come of it kept, and the new message is answered.",
    )
    save_interval_milliseconds: int = Field(
        50,
        ge=10,
        le=10_000,
        description="Most milliseconds of what the model had sent that an answer can lack when its pod dies while it is"
        " being written, as long as Redis answers. Clients never see what is not yet saved: it is written every 15 ms,"
        " or every half of this.",
    )


class Streaming(Part):
    """Limits of streams."""

    max_streams_per_pod: int = Field(
        500,
        ge=1,
        le=20_000,
        description="Streams that one pod takes at a time; more are answered 503 with Retry-After.",
    )
    max_stream_seconds: int = Field(
        600, ge=1, le=86_400, description="Longest life of one stream. A pod that ends waits that long for its streams."
    )
    heartbeat_seconds: int = Field(
        15, ge=1, le=300, description="Seconds of silence after which a comment keeps an SSE connection alive."
    )
    drain_seconds: int = Field(
        10,
        ge=0,
        le=300,
        description="Seconds that an ending pod still takes requests while load balancers forget it. 0: it takes none.",
    )
    log_ttl_seconds: int = Field(
        3600,
        ge=60,
        le=604_800,
        alias="logTTLSeconds",
        description="Seconds that the events of a finished stream stay readable.",
    )


class LogLevel(StrEnum):
    """Least severe level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Shape of log lines."""

    JSON = "json"
    TEXT = "text"


class Observability(Part):
    """What the pods tell about themselves."""

    log_level: LogLevel = Field(LogLevel.INFO, description="Least severe level that is logged.")
    log_format: LogFormat = Field(LogFormat.JSON, description="json for machines, text for people.")


class ServiceType(StrEnum):
    """Types of a Kubernetes Service that make sense in front of pods."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class ServiceExposure(Part):
    """The Service in front of the pods."""

    type: ServiceType = Field(ServiceType.CLUSTER_IP, description="Type of the Service.")
    port: int = Field(80, ge=1, le=65_535, description="Port of the Service.")
    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Annotations of the Service, for load balancers."
    )


class Exposure(Part):
    """How callers reach the pods."""

    service: ServiceExposure = Field(ServiceExposure(), description="The Service in front of the pods.")


PodField = Annotated[Json, Field(json_schema_extra=PRESERVE)]
"""A piece of a pod's spec that is handed on as it is; the API server checks it when the Deployment is applied."""


class Template(Part):
    """What the pods get beyond what the operator gives them. Fields are as in a Kubernetes pod."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None, description="Image of the API; unset: the one that came with the operator."
    )
    resources: PodField = Field(default_factory=dict, description="Requests and limits of the container.")
    node_selector: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Labels that a node must have."
    )
    tolerations: Annotated[list[PodField], Field(max_length=64)] = Field(
        default_factory=list, description="Taints that the pods tolerate."
    )
    affinity: PodField = Field(default_factory=dict, description="Scheduling preferences.")
    topology_spread_constraints: Annotated[list[PodField], Field(max_length=16)] = Field(
        default_factory=list, description="How pods spread over the cluster."
    )
    priority_class_name: Annotated[str, Field(max_length=253)] | None = Field(
        None, description="PriorityClass of the pods."
    )
    labels: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Further labels of the pods."
    )
    annotations: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default_factory=dict, description="Further annotations of the pods."
    )
    env: Annotated[list[PodField], Field(max_length=128)] = Field(
        default_factory=list, description="Further environment variables of the container."
    )


SLEEPING_RULE = rule(
    "!has(self.autoscaling) || self.autoscaling.minReplicas > 0 || self.streaming.drainSeconds >= 5",
    "autoscaling.minReplicas 0 needs streaming.drainSeconds of at least 5, in which the waiting room takes over"
    " from the last pod; raise drainSeconds or minReplicas",
    ".streaming.drainSeconds",
)


class ChatDeploymentSpec(Part):
    """The desired state of a chat API."""

    model_config = ConfigDict(json_schema_extra=rules(*CATALOGUE_RULES, SLEEPING_RULE))

    replicas: int = Field(
        2, ge=0, le=1000, description="Pods to run, unless autoscaling is set. `kubectl scale` writes it."
    )
    suspend: bool = Field(default=False, description="Drain the pods and scale to zero; state and configuration stay.")
    providers: Providers = Field(description="The upstreams that answer.")
    models: Catalogue = Field(description="The catalogue: what clients may ask for.")
    redis: Redis = Field(
        description="Where conversations and running streams are kept: exactly one of urlSecretRef and managed."
    )
    conversations: Conversations = Field(Conversations(), description="How conversations are kept.")
    streaming: Streaming = Field(Streaming(), description="Limits of streams.")
    autoscaling: Autoscaling | None = Field(
        None, description="Let the number of pods follow what they have to do. Unset: spec.replicas says it."
    )
    observability: Observability = Field(Observability(), description="What the pods tell about themselves.")
    exposure: Exposure = Field(Exposure(), description="How callers reach the pods.")
    template: Template = Field(Template(), description="What the pods get beyond what the operator gives them.")


RESOURCE_RULES = (
    rule(
        f"self.metadata.name.size() <= {MAX_NAME} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        f"metadata.name must be at most {MAX_NAME} lower-case letters, digits and dashes and start with a letter,"
        " because the Service and the Redis pods carry it; rename the object",
        ".metadata.name",
    ),
)
"""Rules of the whole object, beyond its spec."""
