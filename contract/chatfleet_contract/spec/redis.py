"""`spec.redis`: the Redis that stores conversations and streams."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, rule, rules, worded
from chatfleet_contract.spec.secrets import SecretKeyRef, Subdomain
from chatfleet_contract.spec.template import Resources, Scheduling


class AppendFsync(StrEnum):
    """When Redis flushes its append-only file to disk (`appendfsync` of redis.conf)."""

    ALWAYS = "always"
    EVERYSEC = "everysec"
    NO = "no"


_STORAGE: Final = "1Gi"


class ManagedRedis(Scheduling):
    """A single Redis with an append-only file, run by the operator."""

    storage: Annotated[
        str,
        Field(
            pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$",
            max_length=16,
            json_schema_extra=worded("storage must be a whole number of Mi, Gi or Ti above 0; write it like 10Gi"),
        ),
    ] = Field(
        _STORAGE,
        description="Size of the volume, such as 1Gi. It grows if the StorageClass can expand, and never shrinks.",
    )
    storage_class_name: Subdomain | None = Field(
        None, description="StorageClass of the volume. Unset: the default StorageClass of the cluster."
    )
    resources: Resources = Field(
        default_factory=dict,
        description="Resource requests and limits of Redis. Unset: requests of 50m CPU and 64Mi memory. With a memory"
        " limit, maxmemory of redis.conf is 75 percent of it, and a full Redis rejects writes instead of being killed.",
    )
    max_unavailable: int = Field(
        1,
        ge=0,
        le=1,
        description="Whether a node drain evicts the pod (PodDisruptionBudget). 1: Redis restarts on another node. 0:"
        " the drain waits until you delete the pod.",
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
