"""The port of the session store: conversations, and messages that are only ever appended."""

from collections.abc import Iterable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from chatfleet_api.chat.events import Usage
from chatfleet_api.chat.request import MessageToolCall
from chatfleet_api.errors import Code

MessageStatus: TypeAlias = Literal["complete", "pending", "failed", "cancelled", "interrupted"]


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
    provider: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    error_code: Code | None = None
    tool_calls: list[MessageToolCall] | None = None
    reasoning: str | None = None
    usage: Usage | None = None
    latency_ms: int | None = None


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

    async def append(
        self,
        tenant: str,
        conversation: str,
        messages: tuple[StoredMessage, ...],
        *,
        expected_version: int | None,
        now: str,
    ) -> int:
        """Append all of `messages` (at least one) or none, set `updated_at`, renew the time to live.

        Returns the new version.

        Raises `ChatError(CONVERSATION_CHANGED)` when `expected_version` is given and is not the current one. Appending
        the same entries again after a lost reply changes nothing (entries carry unique id and status).
        """
        ...

    async def ping(self) -> None:
        """Raise `ChatError(STORAGE_UNAVAILABLE)` when the store cannot be reached."""
        ...


def newest(entries: Iterable[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Return the messages that `entries` make: in order of their first entry, each as its last entry says."""
    return tuple({entry.id: entry for entry in entries}.values())
