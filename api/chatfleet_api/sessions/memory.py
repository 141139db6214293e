"""The session store of a server without Redis: in this process alone, gone with it."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.listing import position, read_cursor
from chatfleet_api.sessions.store import (
    IDEMPOTENCY_SECONDS,
    MAX_QUEUED,
    Conversation,
    IdempotencyRecord,
    Page,
    StoredMessage,
    newest,
)


class _Entry(msgspec.Struct):
    conversation: Conversation
    messages: list[StoredMessage]
    expires: float
    once: dict[str, tuple[float, IdempotencyRecord]]
    line: list[str]


class MemorySessionStore:
    """A `SessionStore` that keeps conversations until `ttl_seconds` after their last change."""

    def __init__(self, *, ttl_seconds: float, clock: Callable[[], float]) -> None:
        self.ttl_seconds = ttl_seconds
        """Seconds; may be replaced while the pod runs, for what changes from then on."""
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()  # the longest unchanged stands first

    async def create(self, tenant: str, conversation: Conversation) -> None:
        """Store a new conversation; a repeat changes nothing."""
        self._forget()
        expires = self._clock() + self.ttl_seconds
        self._entries.setdefault((tenant, conversation.id), _Entry(conversation, [], expires, {}, []))

    async def get(self, tenant: str, conversation: str) -> Conversation:
        """Return the record."""
        return self._find(tenant, conversation).conversation

    async def list(
        self, tenant: str, *, user_id: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> Page:
        """Return conversations, newest change first."""
        self._forget()
        start = read_cursor(cursor) if cursor else None
        found = {
            position(entry.conversation.updated_at, entry.conversation.id): entry.conversation
            for (owner, _), entry in self._entries.items()
            if owner == tenant and user_id in (None, entry.conversation.user_id)
        }
        order = sorted((place for place in found if start is None or place < start), reverse=True)
        more = order[limit - 1].cursor() if len(order) > limit else None
        return Page(tuple(found[place] for place in order[:limit]), more)

    async def delete(self, tenant: str, conversation: str) -> None:
        """Forget the conversation."""
        self._find(tenant, conversation)
        del self._entries[tenant, conversation]

    async def messages(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        """Return all messages in order."""
        return newest(self._find(tenant, conversation).messages)

    async def append(  # noqa: PLR0913  # one step, with all that belongs to it
        self,
        tenant: str,
        conversation: str,
        messages: tuple[StoredMessage, ...],
        *,
        expected_version: int | None,
        now: str,
        once: IdempotencyRecord | None = None,
    ) -> int:
        """Append all of `messages` or none, and return the new version."""
        entry = self._find(tenant, conversation)
        version = entry.conversation.version
        if messages[0] in entry.messages:
            return version
        first = messages[0]
        succeeded = any(entry.id == first.id and entry.epoch > first.epoch for entry in entry.messages)
        if succeeded or expected_version not in (None, version):
            raise ChatError(Code.CONVERSATION_CHANGED)
        if once is not None:
            entry.once[once.key] = (self._clock() + IDEMPOTENCY_SECONDS, once)
        entry.messages.extend(messages)
        entry.conversation = replace(entry.conversation, updated_at=now, version=version + 1)
        entry.expires = self._clock() + self.ttl_seconds
        self._entries.move_to_end((tenant, conversation))
        return version + 1

    async def once(self, tenant: str, conversation: str, key: str) -> IdempotencyRecord | None:
        """Return what was kept under an idempotency key."""
        expires, found = self._find(tenant, conversation).once.get(key, (0, None))
        return found if expires > self._clock() else None

    async def enqueue(self, tenant: str, conversation: str, ticket: str) -> int:
        """Take a place in the line, or keep it. Who waits in this process steps out when it goes."""
        line = self._find(tenant, conversation).line
        if ticket not in line:
            if len(line) >= MAX_QUEUED:
                raise ChatError(Code.CONVERSATION_BUSY)
            line.append(ticket)
        return line.index(ticket)

    async def dequeue(self, tenant: str, conversation: str, ticket: str) -> None:
        """Give the place up."""
        line = self._find(tenant, conversation).line
        if ticket in line:
            line.remove(ticket)

    async def ping(self) -> None:
        """Return at once: this process is there."""

    def _find(self, tenant: str, conversation: str) -> _Entry:
        self._forget()
        entry = self._entries.get((tenant, conversation))
        if entry is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return entry

    def _forget(self) -> None:
        while self._entries and next(iter(self._entries.values())).expires <= self._clock():
            self._entries.popitem(last=False)
