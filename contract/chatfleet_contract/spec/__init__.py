"""`spec` of a ChatDeployment, one module per part.

The models are the source of the CRD (`chatfleet_contract.crd`): descriptions, defaults, bounds, enums and CEL rules
stand beside the field they constrain. Every field here is implemented.

- `chatdeployment`  the spec as a whole, and the rules that involve several parts
- `providers`       `spec.providers` and `spec.models`: upstream APIs, their limits, the catalogue
- `model_name`      names of models
- `provider_types`  the table of provider types, and the rules that follow from it
- `credentials`     `spec.providers[].credentials`: tokens of the ServiceAccount, and their exchange
- `tool_servers`    `spec.toolServers`: MCP servers whose tools models may use
- `autoscaling`     `spec.autoscaling`: metrics, bounds, rates
- `redis`           `spec.redis`: your own or a managed Redis
- `conversations`   `spec.conversations`: retention, disconnects, busy conversations
- `streaming`       `spec.streaming`: limits and timers
- `limits`          `spec.limits`: how much callers may use
- `cache`           `spec.cache`: answers to equal deterministic requests
- `observability`   `spec.observability`: logs
- `egress`          `spec.egress`: servers that pods may connect to, proxy, CAs
- `webhooks`        `spec.webhooks`: servers that are notified of events
- `exposure`        `spec.exposure`: the Service
- `template`        `spec.template`, `spec.inheritedMetadata`, `spec.serviceAccount`: additions to pods and objects
- `pricing`         `spec.models[].pricing`: what tokens cost
- `agents`          `spec.agents`: a supervisor and its members
- `knowledge`       documents from which a model answers
- `access`          `spec.access`: whose requests are answered
- `administrators`  `spec.access.admin`: who may use the admin port
- `jwt`             `spec.access.jwt`: issuers of tokens
- `service_accounts` `spec.access.serviceAccounts`: callers inside the cluster
- `secrets`         references to Secrets and ConfigMaps, names of objects
- `urls`            rules of URLs
- `reserved`        keys of labels and annotations that controllers set
"""

from chatfleet_contract.spec.access import Access, OnRevoke
from chatfleet_contract.spec.chatdeployment import MAX_NAME, RESOURCE_RULES, SCALE_TO_ZERO_RULE, ChatDeploymentSpec
from chatfleet_contract.spec.conversations import Conversations, OnBusy, OnClientDisconnect, Overflow
from chatfleet_contract.spec.exposure import Exposure, ServiceExposure, ServiceType
from chatfleet_contract.spec.limits import Limits
from chatfleet_contract.spec.observability import AccessLines, GenAIConventions, LogFormat, LogLevel, Observability
from chatfleet_contract.spec.redis import AppendFsync, ManagedRedis, Redis
from chatfleet_contract.spec.streaming import Streaming
from chatfleet_contract.spec.template import InheritedMetadata, Scheduling, Template

__all__ = [
    "MAX_NAME",
    "RESOURCE_RULES",
    "SCALE_TO_ZERO_RULE",
    "Access",
    "AccessLines",
    "AppendFsync",
    "ChatDeploymentSpec",
    "Conversations",
    "Exposure",
    "GenAIConventions",
    "InheritedMetadata",
    "Limits",
    "LogFormat",
    "LogLevel",
    "ManagedRedis",
    "Observability",
    "OnBusy",
    "OnClientDisconnect",
    "OnRevoke",
    "Overflow",
    "Redis",
    "Scheduling",
    "ServiceExposure",
    "ServiceType",
    "Streaming",
    "Template",
]
