"""What the routes and the middleware of the serving port are wired with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chatfleet_api.chat.approvals import Approvals
from chatfleet_api.chat.completions import Completions
from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.embeddings import Embeddings
from chatfleet_api.chat.feedback import FeedbackService
from chatfleet_api.chat.joining import Joining
from chatfleet_api.chat.models import Models
from chatfleet_api.chat.responses import Responses
from chatfleet_api.chat.usage_reports import UsageReports
from chatfleet_api.chat.user_webhooks import UserWebhooks
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.presence import Presence
from chatfleet_api.domain.principal import Authenticate
from chatfleet_api.domain.trace import Tracer
from chatfleet_api.web.middleware.access_log import RequestMeter
from chatfleet_api.web.stream import SSEStreams
from chatfleet_contract.spec import AccessLines, OnClientDisconnect


class WebMeter(RequestMeter, Protocol):
    """Counts requests, and those that were rejected."""

    def rejected(self, code: Code) -> None:
        """Count a request that found no free slot."""
        ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """The dialects take from it what their routes need."""

    completions: Completions
    conversations: Conversations
    approvals: Approvals
    responses: Responses
    joining: Joining
    models: Live[Models]
    """The current catalogue."""
    embeddings: Embeddings
    usage: UsageReports
    feedback: FeedbackService
    user_webhooks: UserWebhooks
    streams: SSEStreams
    on_client_disconnect: Live[OnClientDisconnect]

    authenticate: Authenticate
    """Returns who sends a request, or raises."""
    access_lines: Live[AccessLines]
    """Requests that the access log has."""
    presence: Presence | None = None
    """Takes note of users who are present; None: it does not matter."""
    test_routes: Live[bool]
    """Whether there is `/test/*`."""
    caches: Live[bool]
    """Whether the response cache is on."""
    tracer: Live[Tracer | None]
    """None: requests are not traced."""
    version: str
    meter: WebMeter
    clock: Callable[[], float]
    """Monotonic seconds."""
    new_id: Callable[[], str]
    """Makes UUIDv7 text."""
    config_digest: Callable[[], str]
    """Digest of the current configuration, which every response carries."""
    close_connections: Callable[[], bool]
    """Whether clients had better connect to another pod."""
