"""What the routes of the admin port work with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chatfleet_api.chat.usage_reports import UsageReports
from chatfleet_api.domain.dispatch import Dispatcher
from chatfleet_api.domain.principal import Authenticate
from chatfleet_api.identity.key_uses import KeyUses
from chatfleet_api.pod.configuration import Configuration
from chatfleet_api.providers.response_cache.store import RedisAnswers
from chatfleet_api.runs.directory import RunDirectory
from chatfleet_api.runs.fleet.events import FleetEvents
from chatfleet_api.runs.fleet.tasks import TaskDirectory
from chatfleet_api.sessions.store import SessionStore
from chatfleet_api.webhooks.dead_letters import DeadLetters


@dataclass(frozen=True, kw_only=True)
class AdminServices:
    """Wired in `__main__`, from the parts of the pod."""

    pod: str
    """Name of the pod."""
    authenticate: Authenticate
    """Returns an administrator, or raises."""
    configuration: Configuration
    key_uses: KeyUses
    runs: RunDirectory
    sessions: SessionStore
    dispatcher: Dispatcher
    fleet_events: FleetEvents | None
    """None: without Redis, this pod is all there is."""
    cache: RedisAnswers | None
    """None: without Redis there is no response cache."""
    tasks: TaskDirectory
    usage: UsageReports
    dead_letters: DeadLetters | None
    """None: without Redis there are no webhooks."""
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    clock: Callable[[], float]
    """Monotonic seconds."""
    new_id: Callable[[], str]
    """Makes UUIDv7 text."""
