"""The stores of sessions and feedback with an archive: each change is marked before it is made.

A conversation that waits for the archive outlives `conversations.ttlSeconds` (`kept_until_archived`). One that has
expired is read from PostgreSQL; what changes it brings it back into Redis first.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from chatfleet_api.archive.expired import Expired
from chatfleet_api.archive.listing import ArchiveListing
from chatfleet_api.archive.marks import DELETED, FEEDBACK, REWRITTEN, SETTLING_SECONDS, UNARCHIVED_SECONDS, Marks
from chatfleet_api.domain.errors import ConversationNotFoundError
from chatfleet_api.domain.live import Live
from chatfleet_api.sessions.feedback import Feedback, FeedbackStore
from chatfleet_api.sessions.listing import ALL, Wanted
from chatfleet_api.sessions.store import (
    Append,
    Change,
    Conversation,
    IdempotencyRecord,
    Page,
    SessionStore,
    StoredMessage,
)
from chatfleet_api.sessions.tree import newest
from chatfleet_contract.spec import Conversations

T = TypeVar("T")


def kept_until_archived(conversations: Conversations, *, archived: bool) -> Conversations:
    """Return the retention of a change: with an archive, whoever archives it shortens it to `ttlSeconds`."""
    if not archived or conversations.ttl_seconds >= UNARCHIVED_SECONDS:
        return conversations
    return conversations.model_copy(update={"ttl_seconds": UNARCHIVED_SECONDS})


class ArchivedSessionStore:
    """A `SessionStore` in Redis, and in PostgreSQL for what has expired in Redis, while `archived`.

    Responses expire with Redis. What only PostgreSQL has raises `ArchiveUnavailableError` while it is down.
    """

    def __init__(
        self, sessions: SessionStore, marks: Marks, expired: Expired, listing: ArchiveListing, archived: Live[bool]
    ) -> None:
        self._sessions, self._marks, self._archived = sessions, marks, archived
        self._expired, self._listing = expired, listing

    async def create(self, tenant: str, conversation: Conversation) -> None:
        await self._mark(tenant, conversation.id)
        await self._sessions.create(tenant, conversation)

    async def get(self, tenant: str, conversation: str) -> Conversation:
        try:
            return await self._sessions.get(tenant, conversation)
        except ConversationNotFoundError:
            if not self._archived():
                raise
            return await self._expired.record(tenant, conversation)

    async def list(self, tenant: str, wanted: Wanted = ALL, *, limit: int = 20, cursor: str | None = None) -> Page:
        found = await self._sessions.list(tenant, wanted, limit=limit, cursor=cursor)
        if not self._archived():
            return found
        return await self._listing.complete(tenant, wanted, found, limit=limit, cursor=cursor)

    async def update(self, tenant: str, conversation: str, change: Change, *, now: str) -> Conversation:
        return await self._changed(
            tenant, conversation, lambda: self._sessions.update(tenant, conversation, change, now=now)
        )

    async def remove(self, tenant: str, conversation: str, place: StoredMessage, *, now: str) -> None:
        await self._changed(
            tenant, conversation, lambda: self._sessions.remove(tenant, conversation, place, now=now), REWRITTEN
        )

    async def delete(self, tenant: str, conversation: str) -> None:
        """Delete it here at once, and in PostgreSQL as soon as that is available; until then its mark hides it there.

        One that has expired counts as there while PostgreSQL cannot deny it.
        """
        if not self._archived():
            await self._sessions.delete(tenant, conversation)
            return
        again = await self._marks.deleted(tenant, [conversation])
        await self._mark(tenant, conversation, DELETED)
        await self._expired.forget(tenant, conversation)
        try:
            await self._sessions.delete(tenant, conversation)
        except ConversationNotFoundError:
            if again or not await self._expired.may_exist(tenant, conversation):
                raise

    async def messages(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        return await self._found(self._sessions.messages, tenant, conversation)

    async def outline(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        return await self._found(self._sessions.outline, tenant, conversation)

    async def append(self, tenant: str, conversation: str, append: Append) -> int:
        return await self._changed(tenant, conversation, lambda: self._sessions.append(tenant, conversation, append))

    async def response(self, tenant: str, conversation: str, run: str) -> tuple[StoredMessage, ...]:
        return await self._sessions.response(tenant, conversation, run)

    async def forget_response(self, tenant: str, conversation: str, run: str) -> bool:
        return await self._sessions.forget_response(tenant, conversation, run)

    async def delete_older(self, tenant: str, before: datetime, *, limit: int) -> int:
        """Delete old conversations from Redis alone, of which those stay that wait for the archive."""
        if self._archived():
            oldest = datetime.fromtimestamp((await self._marks.look(0)).oldest / 1000, UTC)
            before = min(before, oldest - timedelta(seconds=SETTLING_SECONDS))
        return await self._sessions.delete_older(tenant, before, limit=limit)

    async def idempotency_record(self, tenant: str, conversation: str, key: str) -> IdempotencyRecord | None:
        return await self._sessions.idempotency_record(tenant, conversation, key)

    async def enqueue(self, tenant: str, conversation: str, ticket: str) -> int:
        enqueue = partial(self._sessions.enqueue, tenant, conversation, ticket)
        return await (self._expired.loaded(tenant, conversation, enqueue) if self._archived() else enqueue())

    async def dequeue(self, tenant: str, conversation: str, ticket: str) -> None:
        await self._sessions.dequeue(tenant, conversation, ticket)

    async def _mark(self, tenant: str, conversation: str, flag: str = "") -> None:
        if self._archived():
            await self._marks.add(tenant, conversation, flag)

    async def _found(
        self, read: Callable[[str, str], Awaitable[tuple[StoredMessage, ...]]], tenant: str, conversation: str
    ) -> tuple[StoredMessage, ...]:
        """Return what `read` finds in Redis, or what has expired there."""
        try:
            return await read(tenant, conversation)
        except ConversationNotFoundError:
            if not self._archived():
                raise
            return newest((await self._expired.find(tenant, conversation)).entries)

    async def _changed(self, tenant: str, conversation: str, change: Callable[[], Awaitable[T]], flag: str = "") -> T:
        """Change a conversation, which is brought back into Redis if it has expired there."""
        if not self._archived():
            return await change()
        return await self._expired.changed(tenant, conversation, change, flag)


class ArchivedFeedbackStore:
    """The same of feedback. With an archive it renews its conversation, with which it would expire."""

    def __init__(self, feedback: FeedbackStore, expired: Expired, archived: Live[bool]) -> None:
        self._feedback, self._expired, self._archived = feedback, expired, archived

    async def put(self, tenant: str, conversation: str, feedback: Feedback) -> Feedback:
        if not self._archived():
            return await self._feedback.put(tenant, conversation, feedback)

        async def put() -> Feedback:
            await self._expired.keep(tenant, conversation, feedback.updated_at, UNARCHIVED_SECONDS)
            return await self._feedback.put(tenant, conversation, feedback)

        return await self._expired.changed(tenant, conversation, put, FEEDBACK)

    async def all(self, tenant: str, conversation: str) -> tuple[Feedback, ...]:
        try:
            return await self._feedback.all(tenant, conversation)
        except ConversationNotFoundError:
            if not self._archived():
                raise
            return (await self._expired.find(tenant, conversation)).feedback
