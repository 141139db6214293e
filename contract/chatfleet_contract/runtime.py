"""The runtime configuration: the document that the operator writes to a ConfigMap and the pods read.

It contains no secrets, only paths of files with secrets. Running pods reload it when it changes.
"""

import hashlib
import json
from typing import Final

from pydantic import Field

from chatfleet_contract.names import KNOWLEDGE_DIR, PORT_HEALTH, PORT_SERVING
from chatfleet_contract.parts import Part
from chatfleet_contract.spec import Conversations, Limits, Observability, OnRevoke, Streaming
from chatfleet_contract.spec.administrators import Administrator
from chatfleet_contract.spec.agents import Route
from chatfleet_contract.spec.cache import Cache
from chatfleet_contract.spec.credentials import WorkloadIdentity
from chatfleet_contract.spec.jwt import JWTIssuer
from chatfleet_contract.spec.knowledge import Knowledge
from chatfleet_contract.spec.provider_types import API, ProviderType
from chatfleet_contract.spec.providers import Azure, Bedrock, Compatibility, Model, Parameters, Retries, Timeouts
from chatfleet_contract.spec.service_accounts import AllowedServiceAccount
from chatfleet_contract.spec.tool_servers import Approve
from chatfleet_contract.spec.webhooks import INACTIVE_AFTER_SECONDS, WebhookEvent

_DEFAULTS: Final = Timeouts()


class RuntimeTimeouts(Part):
    """Deadlines of one attempt, in seconds."""

    connect_seconds: float = Field(_DEFAULTS.connect_seconds, gt=0)
    first_token_seconds: float = Field(_DEFAULTS.first_token_seconds, gt=0)
    stall_seconds: float = Field(_DEFAULTS.stall_seconds, gt=0)
    total_seconds: float = Field(_DEFAULTS.total_seconds, gt=0)


class RuntimeWorkloadIdentity(WorkloadIdentity):
    """A token of the ServiceAccount in a file, and its exchange."""

    token_file: str
    """The kubelet replaces it before the token expires."""


class RuntimeProvider(Part):
    """An upstream API."""

    name: str
    type: ProviderType
    base_url: str | None = Field(None, alias="baseURL")
    api_key_file: str | None = None
    """File with the API key; it may be missing, and may change while the pod runs."""
    workload_identity: RuntimeWorkloadIdentity | None = None
    """In the place of an API key."""
    api: API = "chat"
    azure: Azure | None = None
    bedrock: Bedrock | None = None
    compatibility: Compatibility = Compatibility()
    timeouts: RuntimeTimeouts = RuntimeTimeouts()
    retries: Retries = Retries()
    max_concurrent_requests: int = Field(200, ge=1)


class RuntimeEgress(Part):
    """Which servers the pods may connect to, and how."""

    allow: tuple[str, ...] = ()
    proxy_url: str | None = Field(None, alias="proxyURL")
    no_proxy: tuple[str, ...] = ()
    ca_bundle_file: str | None = None
    """File with CAs that are trusted besides those of the system; it may be missing, and may change."""


class RuntimeToolServer(Part):
    """An MCP server whose tools models may use."""

    name: str
    url: str
    headers_folder: str | None = None
    """Folder with headers, one a file; it may be missing, and may change while the pod runs."""
    allow: tuple[str, ...] = ()
    """Empty: all of its tools."""
    timeout_seconds: float = Field(30, gt=0)
    approve: Approve = "never"


class RuntimeKeys(Part):
    """A folder with API keys, one a file."""

    tenant: str
    """Of callers whose key names none."""
    folder: str
    """It may be missing, and may change while the pod runs."""


class RuntimeReview(Part):
    """Where pods have tokens reviewed (TokenReview)."""

    url: str
    token_file: str
    ca_file: str


class RuntimeServiceAccounts(Part):
    """Whose tokens of ServiceAccounts are accepted."""

    audience: str
    issuer: str
    """The claim `iss` of the cluster's tokens."""
    keys: str
    """The public keys of the cluster (JWKS), as its API server publishes them."""
    allow: tuple[AllowedServiceAccount, ...]
    review: RuntimeReview | None = None
    """None: tokens are verified by the keys alone."""


class RuntimeAccess(Part):
    """Whose requests are answered. An operator of this version always writes it."""

    anonymous: bool = True
    """The default is for configurations of an older operator, and for a process without one."""
    api_keys: tuple[RuntimeKeys, ...] = ()
    jwt: tuple[JWTIssuer, ...] = ()
    service_accounts: RuntimeServiceAccounts | None = None
    """None: none are accepted, or the keys of the cluster are not known yet."""
    on_revoke: OnRevoke = OnRevoke.FINISH
    admin: tuple[Administrator, ...] = ()
    """Who may use the admin port; none: no pod listens there."""
    probe_hash: str | None = None
    """SHA-256 of the operator's `probe_token`, in hexadecimal digits; None: it sends none."""


class RuntimeWebhook(Part):
    """A server that is notified of events."""

    name: str
    url: str
    events: tuple[WebhookEvent, ...]
    secrets_folder: str
    """Folder with signing secrets, one a file; it may be missing, and may change while the pod runs."""
    content: bool = False
    inactive_after_seconds: int | None = None

    @property
    def inactive_after(self) -> int:
        """Seconds after which the user of an answer is inactive."""
        return self.inactive_after_seconds or INACTIVE_AFTER_SECONDS


class RuntimeSupervisor(Part):
    """Who chooses among the members, and answers what none fits."""

    model: str
    instructions: str | None = None
    max_steps: int = Field(12, ge=2)
    max_handoffs: int = Field(3, ge=1)


class RuntimeMember(Part):
    """An agent with its instructions, wherever they come from."""

    name: str
    description: str
    model: str
    instructions: str
    parameters: Parameters = Parameters()
    route: Route | None = None
    knowledge: Knowledge | None = None
    handoffs: tuple[str, ...] = ()
    """Names of members to which it may hand over; those without instructions are not served."""


class RuntimeAgents(Part):
    """The agents whose instructions exist."""

    supervisor: RuntimeSupervisor
    members: tuple[RuntimeMember, ...] = ()


class RuntimeConfig(Part):
    """The configuration of an API pod, apart from its environment."""

    deployment: str
    namespace: str
    providers: tuple[RuntimeProvider, ...]
    models: tuple[Model, ...]
    tool_servers: tuple[RuntimeToolServer, ...] = ()
    redis_url_file: str | None = None
    """File with the URL of Redis; None: store everything in memory."""
    redis_wait_replicas: int | None = Field(None, ge=1)
    """Replicas that must confirm a message before it is acknowledged; None: do not wait."""
    archive_url_file: str | None = None
    """File with the URL of the PostgreSQL that conversations are archived in; None: they are not."""
    access: RuntimeAccess = RuntimeAccess()
    conversations: Conversations = Conversations()
    streaming: Streaming = Streaming()
    limits: Limits = Limits()
    cache: Cache = Cache()
    observability: Observability = Observability()
    egress: RuntimeEgress = RuntimeEgress()
    knowledge_folder: str = KNOWLEDGE_DIR
    """Has a folder for each ConfigMap with documents; it may be missing, and may change while the pod runs."""
    webhooks: tuple[RuntimeWebhook, ...] = ()
    agents: RuntimeAgents | None = None

    def render(self) -> str:
        """Return canonical JSON: equal configurations give equal bytes."""
        return canonical(self)

    def digest(self) -> str:
        """Return the digest of the rendered configuration."""
        return digest_of(self.render())


class ActivatorConfig(Part):
    """The configuration of the activator, which holds requests while no API pod is ready."""

    deployment: str
    pods_url: str = Field(alias="podsURL")
    """URL of the Service of the API pods."""
    pods_health_url: str = Field(alias="podsHealthURL")
    """URL of the same Service on the health port."""
    activation_timeout_seconds: float = Field(120, gt=0)
    """Maximum wait of a request for a ready pod."""
    max_streams: int = Field(500, ge=1)
    """Maximum of waiting requests; further requests are rejected."""
    heartbeat_seconds: float = Field(15, gt=0)
    max_stream_seconds: float = Field(600, gt=0)
    """Maximum time that a terminating activator keeps its open streams."""
    observability: Observability = Observability()
    host: str = ""
    """Address to listen on; empty: all interfaces."""
    port: int = PORT_SERVING
    health_port: int = PORT_HEALTH

    def render(self) -> str:
        """Return canonical JSON."""
        return canonical(self)


def canonical(part: Part) -> str:
    """Return canonical JSON of `part`: equal parts give equal bytes."""
    return json.dumps(part.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(text: str) -> str:
    """Return 16 hex digits that identify a rendered configuration.

    The digest is of the text, because a pod of another version may render the parsed document differently.
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]
