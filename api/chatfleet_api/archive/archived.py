"""The stores of sessions and feedback with an archive: each change is marked before it is made.

A conversation that waits for the archive outlives `conversations.ttlSeconds` (`kept_until_archived`).
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from chatfleet_api.archive.marks import DELETED, FEEDBACK, REWRITTEN, SETTLING_SECONDS, Marks
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
from chatfleet_contract.spec import Conversations

UNARCHIVED_SECONDS: Final = 30 * 24 * 3600
"""Least time that a conversation is kept in Redis while it is not archived yet."""


def kept_until_archived(conversations: Conversations, *, archived: bool) -> Conversations:
    """Return the retention of a change: with an archive, whoever archives it shortens it to `ttlSeconds`."""
    if not archived or conversations.ttl_seconds >= UNARCHIVED_SECONDS:
        return conversations
    return conversations.model_copy(update={"ttl_seconds": UNARCHIVED_SECONDS})


class ArchivedSessionStore:
    """A `SessionStore` in Redis whose changes are archived while `archived`."""

    def __init__(self, sessions: SessionStore, marks: Marks, archived: Live[bool]) -> None:
        self._sessions, self._marks, self._archived = sessions, marks, archived

    async def create(self, tenant: str, conversation: Conversation) -> None:
        await self._mark(tenant, conversation.id)
        await self._sessions.create(tenant, conversation)

    async def get(self, tenant: str, conversation: str) -> Conversation:
        return await self._sessions.get(tenant, conversation)

    async def list(self, tenant: str, wanted: Wanted = ALL, *, limit: int = 20, cursor: str | None = None) -> Page:
        return await self._sessions.list(tenant, wanted, limit=limit, cursor=cursor)

    async def update(self, tenant: str, conversation: str, change: Change, *, now: str) -> Conversation:
        await self._mark(tenant, conversation)
        return await self._sessions.update(tenant, conversation, change, now=now)

    async def remove(self, tenant: str, conversation: str, place: StoredMessage, *, now: str) -> None:
        await self._mark(tenant, conversation, REWRITTEN)
        await self._sessions.remove(tenant, conversation, place, now=now)

    async def delete(self, tenant: str, conversation: str) -> None:
        await self._mark(tenant, conversation, DELETED)
        await self._sessions.delete(tenant, conversation)

    async def messages(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        return await self._sessions.messages(tenant, conversation)

    async def append(self, tenant: str, conversation: str, append: Append) -> int:
        await self._mark(tenant, conversation)
        return await self._sessions.append(tenant, conversation, append)

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
        return await self._sessions.enqueue(tenant, conversation, ticket)

    async def dequeue(self, tenant: str, conversation: str, ticket: str) -> None:
        await self._sessions.dequeue(tenant, conversation, ticket)

    async def _mark(self, tenant: str, conversation: str, flag: str = "") -> None:
        if self._archived():
            await self._marks.add(tenant, conversation, flag)


class ArchivedFeedbackStore:
    """The same of feedback."""

    def __init__(self, feedback: FeedbackStore, marks: Marks, archived: Live[bool]) -> None:
        self._feedback, self._marks, self._archived = feedback, marks, archived

    async def put(self, tenant: str, conversation: str, feedback: Feedback) -> Feedback:
        if self._archived():
            await self._marks.add(tenant, conversation, FEEDBACK)
        return await self._feedback.put(tenant, conversation, feedback)

    async def all(self, tenant: str, conversation: str) -> tuple[Feedback, ...]:
        return await self._feedback.all(tenant, conversation)
