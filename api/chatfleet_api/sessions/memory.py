"""The session store of a server without Redis: in this process alone, gone with it."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.sessions.feedback import Feedback
from chatfleet_api.sessions.listing import ALL, SCANNED, Wanted, position, read_cursor
from chatfleet_api.sessions.store import (
    IDEMPOTENCY_SECONDS,
    MAX_QUEUED,
    Append,
    Change,
    Conversation,
    IdempotencyRecord,
    Page,
    StoredMessage,
)
from chatfleet_api.sessions.tree import newest
from chatfleet_contract.spec import Conversations

MAX_THREAD_BYTES: Final = 64 * 1024 * 1024
"""Most that all threads together keep, about; those that changed least recently go first."""
MESSAGE_BYTES: Final = 1024
"""Of a message, its text comes on top."""


class _Entry(msgspec.Struct):
    conversation: Conversation
    messages: list[StoredMessage]
    expires: float
    idempotency: dict[str, tuple[float, IdempotencyRecord]]
    queue: list[str]
    responses: dict[str, tuple[str, ...]]
    """The ids of the messages of each response."""
    feedback: dict[str, Feedback]
    """By its key."""


class MemorySessionStore:
    """A `SessionStore` that keeps conversations until `conversations.ttlSeconds` after their last change."""

    def __init__(self, conversations: Live[Conversations], *, clock: Callable[[], float]) -> None:
        self._conversations = conversations
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()  # the longest unchanged stands first
        self._threads: OrderedDict[tuple[str, str], int] = OrderedDict()  # the bytes of those that are not listed

    async def create(self, tenant: str, conversation: Conversation) -> None:
        """Store a new conversation; a repeat changes nothing."""
        self._forget()
        self._entries.setdefault((tenant, conversation.id), _Entry(conversation, [], self._expiry(), {}, [], {}, {}))

    async def get(self, tenant: str, conversation: str) -> Conversation:
        return self._find(tenant, conversation).conversation

    async def list(self, tenant: str, wanted: Wanted = ALL, *, limit: int = 20, cursor: str | None = None) -> Page:
        self._forget()
        start, oldest = read_cursor(cursor) if cursor else None, wanted.oldest or 0
        known = {
            position(entry.conversation.updated_at, entry.conversation.id): entry.conversation
            for (owner, _), entry in self._entries.items()
            if owner == tenant and entry.conversation.listed and wanted.user_id in (None, entry.conversation.user_id)
        }
        order = sorted(
            (place for place in known if (start is None or place < start) and place.changed >= oldest), reverse=True
        )
        scanned = order[:SCANNED]
        found = [place for place in scanned if wanted.has(known[place].title, known[place].metadata)]
        last = found[limit - 1] if len(found) > limit else scanned[-1] if len(order) > SCANNED else None
        return Page(tuple(known[place] for place in found[:limit]), last and last.cursor())

    async def update(self, tenant: str, conversation: str, change: Change, *, now: str) -> Conversation:
        entry = self._find(tenant, conversation)
        entry.conversation = replace(change(entry.conversation), updated_at=now)
        self._renew(tenant, entry)
        return entry.conversation

    async def remove(self, tenant: str, conversation: str, place: StoredMessage, *, now: str) -> None:
        entry = self._find(tenant, conversation)
        if any(each.id == place.id and not each.removed for each in entry.messages):
            entry.messages = [place if each.id == place.id else each for each in entry.messages]
            entry.feedback = {key: each for key, each in entry.feedback.items() if each.message != place.id}
            version = entry.conversation.version + 1
            entry.conversation = replace(entry.conversation, updated_at=now, version=version)
        self._renew(tenant, entry)

    async def delete(self, tenant: str, conversation: str) -> None:
        self._find(tenant, conversation)
        del self._entries[tenant, conversation]

    async def messages(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        return newest(self._find(tenant, conversation).messages)

    async def outline(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        return await self.messages(tenant, conversation)

    async def append(self, tenant: str, conversation: str, append: Append) -> int:
        if append.create is not None:
            await self.create(tenant, append.create)
        entry = self._find(tenant, conversation)
        version, first = entry.conversation.version, append.messages[0]
        if append.messages[-1] in entry.messages:
            return version
        fenced = any(message.id == first.id and message.epoch > first.epoch for message in entry.messages)
        if fenced or append.expected_version not in (None, version):
            raise ChatError(Code.CONVERSATION_CHANGED)
        if (record := append.idempotency) is not None:
            if await self.idempotency_record(tenant, conversation, record.key):
                raise ChatError(Code.CONVERSATION_CHANGED)
            entry.idempotency[record.key] = (self._clock() + IDEMPOTENCY_SECONDS, record)
        entry.messages.extend(append.messages)
        if (response := append.response) is not None:
            entry.responses[response.run] = tuple(message.id for message in append.messages[-response.size :])
        entry.conversation = replace(entry.conversation, updated_at=append.now, version=version + 1)
        self._renew(tenant, entry)
        if not entry.conversation.listed:
            self._bound((tenant, conversation), sum(map(_size_of, append.messages)))
        return version + 1

    def feedback(self, tenant: str, conversation: str) -> dict[str, Feedback]:
        """Return the feedback on a conversation, by its key, to be read and changed."""
        return self._find(tenant, conversation).feedback

    async def response(self, tenant: str, conversation: str, run: str) -> tuple[StoredMessage, ...]:
        self._forget()
        entry = self._entries.get((tenant, conversation))
        ids = () if entry is None else entry.responses.get(run, ())
        return newest(message for message in entry.messages if message.id in ids) if entry is not None else ()

    async def forget_response(self, tenant: str, conversation: str, run: str) -> bool:
        self._forget()
        entry = self._entries.get((tenant, conversation))
        if entry is None or entry.responses.pop(run, None) is None:
            return False
        if not (entry.responses or entry.conversation.listed):
            del self._entries[tenant, conversation]
        return True

    async def delete_older(self, tenant: str, before: datetime, *, limit: int) -> int:
        self._forget()
        last = before.isoformat(timespec="milliseconds")
        of_tenant = [(key, entry.conversation) for key, entry in self._entries.items() if key[0] == tenant]
        found = [(each.updated_at, key) for key, each in of_tenant if each.listed and each.updated_at < last]
        for _, key in sorted(found)[:limit]:
            del self._entries[key]
        return min(limit, len(found))

    async def idempotency_record(self, tenant: str, conversation: str, key: str) -> IdempotencyRecord | None:
        expires, record = self._find(tenant, conversation).idempotency.get(key, (0, None))
        return record if expires > self._clock() else None

    async def enqueue(self, tenant: str, conversation: str, ticket: str) -> int:
        """Add a ticket, or keep it. It does not expire: the request that waits in this process removes it."""
        queue = self._find(tenant, conversation).queue
        if ticket not in queue:
            if len(queue) >= MAX_QUEUED:
                raise ChatError(Code.CONVERSATION_BUSY)
            queue.append(ticket)
        return queue.index(ticket)

    async def dequeue(self, tenant: str, conversation: str, ticket: str) -> None:
        queue = self._find(tenant, conversation).queue
        if ticket in queue:
            queue.remove(ticket)

    def _renew(self, tenant: str, entry: _Entry) -> None:
        entry.expires = self._expiry()
        self._entries.move_to_end((tenant, entry.conversation.id))

    def _bound(self, thread: tuple[str, str], grown: int) -> None:
        """Drop other threads while they are too large together, after one has grown."""
        self._threads[thread] = self._threads.pop(thread, 0) + grown
        while sum(self._threads.values()) > MAX_THREAD_BYTES and len(self._threads) > 1:
            oldest, _ = self._threads.popitem(last=False)
            self._entries.pop(oldest, None)

    def _expiry(self) -> float:
        return self._clock() + self._conversations().ttl_seconds

    def _find(self, tenant: str, conversation: str) -> _Entry:
        self._forget()
        if (entry := self._entries.get((tenant, conversation))) is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return entry

    def _forget(self) -> None:
        while self._entries and next(iter(self._entries.values())).expires <= self._clock():
            self._entries.popitem(last=False)


def _size_of(message: StoredMessage) -> int:
    return MESSAGE_BYTES + len(message.content) + len(message.item) + len(message.echo) + len(message.reasoning or "")
