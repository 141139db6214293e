"""Wires the stores of a pod with the archive, which is one while the configuration has it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from uuid_utils import uuid7

from chatfleet_api.archive.archived import ArchivedFeedbackStore, ArchivedSessionStore
from chatfleet_api.archive.expired import Expired
from chatfleet_api.archive.listing import ArchiveListing
from chatfleet_api.archive.loading import Loading
from chatfleet_api.archive.marks import Marks
from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.feedback import FeedbackStore
from chatfleet_api.sessions.store import SessionStore
from chatfleet_contract.runtime import RuntimeConfig

if TYPE_CHECKING:
    from chatfleet_api.archive.postgres import PostgresArchive


class ArchivedParts:
    """Makes stores in Redis those with an archive."""

    def __init__(
        self,
        redis: RedisClient,
        config: Live[RuntimeConfig],
        marks: Marks,
        available: "Callable[[], Awaitable[PostgresArchive | None]]",
    ) -> None:
        """`available` returns the archive, None while it is known to be down."""
        conversations = config.map(lambda live: live.conversations)
        self._marks, self._archived = marks, config.map(is_archived)
        self._expired = Expired(available, marks, Loading(redis, conversations), lambda: str(uuid7()))
        self._listing = ArchiveListing(redis, marks, self._expired, conversations, lambda: datetime.now(UTC))

    def sessions(self, sessions: SessionStore) -> SessionStore:
        return ArchivedSessionStore(sessions, self._marks, self._expired, self._listing, self._archived)

    def feedback(self, feedback: FeedbackStore) -> FeedbackStore:
        return ArchivedFeedbackStore(feedback, self._expired, self._archived)


def is_archived(config: RuntimeConfig) -> bool:
    """Return whether there is an archive."""
    return config.archive_url_file is not None
