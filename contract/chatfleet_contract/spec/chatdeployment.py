"""`spec` as a whole, and the rules that involve several parts."""

from collections.abc import Iterator
from typing import Final

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, rule, rules
from chatfleet_contract.spec.access import Access
from chatfleet_contract.spec.agents import AGENT_RULES, Agents
from chatfleet_contract.spec.autoscaling import Autoscaling
from chatfleet_contract.spec.cache import Cache
from chatfleet_contract.spec.conversations import TITLES_RULE, Conversations
from chatfleet_contract.spec.egress import Egress
from chatfleet_contract.spec.exposure import Exposure
from chatfleet_contract.spec.knowledge import Knowledge
from chatfleet_contract.spec.limits import LIMITS_RULES, Limits
from chatfleet_contract.spec.observability import Observability
from chatfleet_contract.spec.providers import CATALOGUE_RULES, Catalogue, Providers
from chatfleet_contract.spec.redis import Redis
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_contract.spec.streaming import Streaming
from chatfleet_contract.spec.template import InheritedMetadata, ServiceAccountSettings, Template
from chatfleet_contract.spec.tool_servers import TOOLS_RULE, ToolServers
from chatfleet_contract.spec.webhooks import Webhooks

MAX_NAME: Final = 46
"""Longest name of a ChatDeployment: pods of `<name>-redis` carry a label `<name>-redis-<hash of 10>`, at most 63."""


SCALE_TO_ZERO_RULE = rule(
    "!has(self.autoscaling) || self.autoscaling.minReplicas > 0 || self.streaming.drainSeconds >= 5",
    "streaming.drainSeconds must be at least 5 with autoscaling.minReplicas 0, so that the activator can take over from"
    " the last pod; raise drainSeconds or minReplicas",
    ".streaming.drainSeconds",
)


STREAMS_TARGET_RULE = rule(
    "!has(self.autoscaling) || !has(self.autoscaling.metrics) || self.autoscaling.metrics.all(m, m.type !="
    " 'ActiveStreams' || !has(m.averageValue) || !isQuantity(m.averageValue) ||"
    " quantity(m.averageValue).asApproximateFloat() <= double(self.streaming.maxStreamsPerPod))",
    "autoscaling.metrics[].averageValue of ActiveStreams must not exceed streaming.maxStreamsPerPod, because pods never"
    " reach it and none is added; lower averageValue or raise maxStreamsPerPod",
    ".autoscaling.metrics",
)


RETENTION_RULE = rule(
    "self.conversations.ttlSeconds >= self.streaming.maxStreamSeconds",
    "conversations.ttlSeconds must be at least streaming.maxStreamSeconds, because a conversation that expires during"
    " an answer loses it; raise ttlSeconds or lower maxStreamSeconds",
    ".conversations.ttlSeconds",
)


class ChatDeploymentSpec(Part):
    """The desired state of a chat API."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *CATALOGUE_RULES,
            TOOLS_RULE,
            SCALE_TO_ZERO_RULE,
            STREAMS_TARGET_RULE,
            RETENTION_RULE,
            *LIMITS_RULES,
            TITLES_RULE,
            *AGENT_RULES,
        )
    )

    replicas: int = Field(
        2,
        ge=0,
        le=1000,
        description="Number of pods. `kubectl scale` sets this field, which has no effect with autoscaling.",
    )
    suspend: bool = Field(
        default=False, description="Drain the pods and scale to zero. Stored state and configuration are kept."
    )
    providers: Providers = Field(description="The upstream APIs that answer requests.")
    models: Catalogue = Field(description="The model catalogue: the models that clients can request.")
    tool_servers: ToolServers = Field(
        default_factory=list, description="MCP servers whose tools models may use, by models[].tools."
    )
    agents: Agents | None = Field(
        None, description="Agents with instructions of their own, as further models of the API. Unset: none."
    )
    redis: Redis = Field(
        description="The Redis that stores conversations and streams: exactly one of urlSecretRef and managed."
    )
    access: Access = Field(
        Access(), description="Whose requests the pods answer. Unset: none; set apiKeys, or anonymous to true."
    )
    conversations: Conversations = Field(
        Conversations(), description="Retention of conversations, and the life of their answers."
    )
    streaming: Streaming = Field(Streaming(), description="Limits and timers of streams.")
    limits: Limits = Field(
        Limits(),
        description="How much tenants, keys, users and models may use, on all pods together. Unset: no limit.",
    )
    cache: Cache = Field(Cache(), description="The response cache: answers to equal deterministic requests.")
    autoscaling: Autoscaling | None = Field(
        None, description="Scale the number of pods with load. Unset: spec.replicas sets it."
    )
    observability: Observability = Field(Observability(), description="Logs and traces of the pods.")
    egress: Egress = Field(Egress(), description="Servers that the pods may connect to, and how.")
    webhooks: Webhooks = Field(
        default_factory=list,
        description="Servers that are notified of events, by Standard Webhooks. A new Secret here restarts the pods.",
    )
    exposure: Exposure = Field(Exposure(), description="How clients reach the pods.")
    template: Template = Field(Template(), description="Additions to the pod template.")
    inherited_metadata: InheritedMetadata = Field(
        InheritedMetadata(),
        description="Labels and annotations of every object of this ChatDeployment, and of its pods. A change restarts"
        " the pods.",
    )
    service_account: ServiceAccountSettings = Field(
        ServiceAccountSettings(), description="The ServiceAccount of the pods."
    )

    @property
    def knowledge_config_maps(self) -> tuple[str, ...]:
        """Names of the ConfigMaps with documents, in the order of their first use."""
        return tuple(dict.fromkeys(name for _, knowledge in self.all_knowledge() for name in knowledge.config_maps))

    @property
    def knowledge_claims(self) -> tuple[str, ...]:
        """Names of the PersistentVolumeClaims with documents, in the order of their first use."""
        return tuple(dict.fromkeys(name for _, knowledge in self.all_knowledge() for name in knowledge.volume_claims))

    @property
    def chroma_tokens(self) -> tuple[SecretKeyRef, ...]:
        """Keys of Secrets with tokens for ChromaDB, in the order of their first use."""
        collections = (knowledge.collection for _, knowledge in self.all_knowledge())
        return tuple(dict.fromkeys(each.token_secret_ref for each in collections if each and each.token_secret_ref))

    def all_knowledge(self) -> Iterator[tuple[str, Knowledge]]:
        """Yield the knowledge of models, then of members, each with the path of its field."""
        for index, model in enumerate(self.models):
            if model.knowledge:
                yield f"spec.models[{index}].knowledge", model.knowledge
        for index, member in enumerate(self.agents.members if self.agents else ()):
            if member.knowledge:
                yield f"spec.agents.members[{index}].knowledge", member.knowledge


RESOURCE_RULES = (
    rule(
        f"self.metadata.name.size() <= {MAX_NAME} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        f"metadata.name must have at most {MAX_NAME} lower-case letters, digits and dashes and start with a letter,"
        " because labels and names of child objects contain it; rename the object",
        ".metadata.name",
    ),
)
"""Rules of the whole object, beyond its spec."""
