"""The port of the session store: conversations, and messages that are only ever appended."""

from collections.abc import Iterable
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import FinishReason, Usage
from chatfleet_api.domain.request import MessageToolCall

MessageStatus: TypeAlias = Literal["complete", "pending", "failed", "cancelled", "interrupted"]


IDEMPOTENCY_SECONDS: Final = 86_400
"""Life of an idempotency key."""
MAX_QUEUED: Final = 16
"""Messages that wait in one conversation at a time."""
TICKET_SECONDS: Final = 2.0


class Conversation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record of one conversation. Times are RFC 3339, UTC, with zone. `version` counts appends."""

    id: str
    user_id: str | None
    title: str | None
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    version: int = 0


class StoredMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message. A later entry with the same id replaces an earlier one (the final answer a pending one)."""

    id: str
    role: Literal["system", "user", "assistant", "tool"]
    content: str
    created_at: str
    status: MessageStatus = "complete"
    run: str | None = None
    """Run that writes, or wrote, this message."""
    epoch: int = 0
    """How often that run was taken over by another pod."""
    provider: str | None = None
    """Who answered."""
    model: str | None = None
    """The model that was asked for."""
    upstream_model: str | None = None
    """The model that answered, be it a fallback's, by its provider's name of it."""
    finish_reason: FinishReason | None = None
    error_code: Code | None = None
    tool_calls: list[MessageToolCall] | None = None
    reasoning: str | None = None
    usage: Usage | None = None
    latency_ms: int | None = None


class IdempotencyRecord(msgspec.Struct, frozen=True):
    """What was asked under an idempotency key, and the answer to it."""

    key: str
    digest: str
    """Of all that was asked."""
    answer: str
    """Id of the message that answers."""


class Page(msgspec.Struct, frozen=True):
    """Conversations, newest change first; `next` continues the listing, None at its end."""

    items: tuple[Conversation, ...]
    next: str | None


class SessionStore(Protocol):
    """Conversations of tenants. No method sees across tenants.

    Every method raises `ChatError(STORAGE_UNAVAILABLE)` when the store cannot be reached, and those that name a
    conversation raise `ChatError(CONVERSATION_NOT_FOUND)` when it is not there (never was, was deleted, or outlived its
    time).
    """

    async def create(self, tenant: str, conversation: Conversation) -> None:
        """Store a new conversation with no messages; it is listed from now on."""
        ...

    async def get(self, tenant: str, conversation: str) -> Conversation:
        """Return the record."""
        ...

    async def list(
        self, tenant: str, *, user_id: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> Page:
        """Return conversations, newest change first, of one user when given."""
        ...

    async def delete(self, tenant: str, conversation: str) -> None:
        """Forget the conversation and its messages."""
        ...

    async def messages(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        """Return all messages in order, later entries having replaced earlier ones of the same id."""
        ...

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
        """Append all of `messages` (at least one) or none, set `updated_at`, renew the time to live.

        Returns the new version. `once` is kept with them, in the same step, for `IDEMPOTENCY_SECONDS`.

        Raises `ChatError(CONVERSATION_CHANGED)` when `expected_version` is given and is not the current one, and when
        the first of `messages` is there with a greater `epoch`: another pod writes it now. Appending the same entries
        again after a lost reply changes nothing (entries carry unique id and status).
        """
        ...

    async def once(self, tenant: str, conversation: str, key: str) -> IdempotencyRecord | None:
        """Return what was kept under an idempotency key; None when nothing was, or no longer is."""
        ...

    async def enqueue(self, tenant: str, conversation: str, ticket: str) -> int:
        """Take a place in the line before the conversation, or keep it, and return how many stand before it.

        A place that is not kept for `TICKET_SECONDS` is lost. Raises `ChatError(CONVERSATION_BUSY)` when `MAX_QUEUED`
        stand there already.
        """
        ...

    async def dequeue(self, tenant: str, conversation: str, ticket: str) -> None:
        """Give the place up."""
        ...

    async def ping(self) -> None:
        """Raise `ChatError(STORAGE_UNAVAILABLE)` when the store cannot be reached."""
        ...


def newest(entries: Iterable[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Return the messages that `entries` make: in order of their first entry, each as its last entry says."""
    return tuple({entry.id: entry for entry in entries}.values())
