"""The runtime configuration: the document that the operator renders into a ConfigMap and the API parses.

It holds no secret: keys and URLs are files whose paths stand here. Running pods read it again when it changes.
"""

import hashlib
import json

from pydantic import Field

from chatfleet_contract.names import PORT_HEALTH, PORT_SERVING
from chatfleet_contract.parts import Part
from chatfleet_contract.providers import Model, ProviderType, Retries
from chatfleet_contract.spec import Conversations, Observability, Streaming


class RuntimeTimeouts(Part):
    """Deadlines of one attempt, in seconds (fractions allowed)."""

    connect_seconds: float = Field(5, gt=0)
    first_token_seconds: float = Field(60, gt=0)
    stall_seconds: float = Field(30, gt=0)
    total_seconds: float = Field(600, gt=0)


class RuntimeProvider(Part):
    """One upstream as a pod sees it."""

    name: str
    type: ProviderType
    base_url: str | None = Field(None, alias="baseURL")
    api_key_file: str | None = None
    """File that holds the API key; may be absent or change while the pod runs."""
    azure_api_version: str | None = None
    timeouts: RuntimeTimeouts = RuntimeTimeouts()
    retries: Retries = Retries()
    max_concurrent_requests: int = Field(200, ge=1)


class RuntimeConfig(Part):
    """All that a pod needs to know, beyond its own environment."""

    deployment: str
    namespace: str
    providers: tuple[RuntimeProvider, ...]
    models: tuple[Model, ...]
    redis_url_file: str | None = None
    """File that holds the URL of Redis; None: keep everything in memory."""
    redis_wait_replicas: int | None = Field(None, ge=1)
    """Replicas that must have a message before it is acknowledged; None: do not wait for any."""
    conversations: Conversations = Conversations()
    streaming: Streaming = Streaming()
    observability: Observability = Observability()

    def render(self) -> str:
        """Return the canonical JSON text: equal configurations give equal bytes."""
        return canonical(self)

    def digest(self) -> str:
        """Return the digest of this configuration as rendered here."""
        return digest_of(self.render())


class ActivatorConfig(Part):
    """All that a waiting room needs to know: it holds requests while there is no API pod."""

    deployment: str
    pods_url: str = Field(alias="podsURL")
    """Where API pods serve, whenever there are any."""
    pods_health_url: str = Field(alias="podsHealthURL")
    """The same for their health port."""
    activation_timeout_seconds: float = Field(120, gt=0)
    """How long a request waits for a pod."""
    max_streams: int = Field(500, ge=1)
    """How many requests wait at a time; more are refused."""
    heartbeat_seconds: float = Field(15, gt=0)
    max_stream_seconds: float = Field(600, gt=0)
    """How long a waiting room that ends may go on with what it has passed on."""
    observability: Observability = Observability()
    host: str = ""
    """Address to listen on; empty: all."""
    port: int = PORT_SERVING
    health_port: int = PORT_HEALTH

    def render(self) -> str:
        """Return the canonical JSON text."""
        return canonical(self)


def canonical(part: Part) -> str:
    """Return the JSON text of `part`: equal parts give equal bytes."""
    return json.dumps(part.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(text: str) -> str:
    """Return 16 hex digits that identify a rendered configuration; a pod reports the digest of the text it serves.

    Of the text, because a pod of another version than the operator would render what it understood differently.
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]
