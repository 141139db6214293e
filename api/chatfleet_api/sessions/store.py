"""What every session store promises: conversations, and messages that are only ever appended."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from chatfleet_api.domain.errors import Code, StorageUnavailableError
from chatfleet_api.domain.events import (
    Agent,
    AgentUsage,
    Citation,
    ContextUse,
    FinishReason,
    Retrieval,
    ServerToolEvent,
    Thought,
    Usage,
)
from chatfleet_api.domain.request import AnyToolCall
from chatfleet_api.sessions.listing import ALL, Wanted

MessageStatus: TypeAlias = Literal["complete", "pending", "failed", "cancelled", "interrupted"]


IDEMPOTENCY_SECONDS: Final = 86_400
"""Life of an idempotency record."""
MAX_QUEUED: Final = 16
"""Messages in the queue of one conversation at a time."""
TICKET_SECONDS: Final = 2.0
"""Life of a ticket in that queue, unless it is renewed."""
UPDATE_ATTEMPTS: Final = 16
"""How often an update is tried while others change the same conversation."""


class ArchiveUnavailableError(StorageUnavailableError):
    """It is not in Redis, and PostgreSQL does not answer whether it has expired there. Nothing is stored."""


class IdempotencyRecord(msgspec.Struct, frozen=True):
    """The request that came with an idempotency key, and the answer to it."""

    key: str
    digest: str
    """Of the whole request."""
    answer: str
    """Id of the message that answers."""


class Head(msgspec.Struct, frozen=True):
    """The choice of a message that the current path ends with."""

    message: str
    newest: str
    """The newest message when it was chosen. Once there is a newer one, the choice is void."""


class Summary(msgspec.Struct, frozen=True):
    """What the model gets in the place of the first messages of a path."""

    text: str
    last: str
    """Id of the last message that it stands for."""
    messages: int
    """How many it stands for. Another number on the way to `last`: one was removed, and the summary is void."""


class Conversation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record of one conversation. Times are RFC 3339, UTC, with zone. `version` counts appends."""

    id: str
    user_id: str | None
    title: str | None
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    version: int = 0
    listed: bool = True
    """False: a thread, which holds responses that name no conversation, and goes with the last of them."""
    made_by: IdempotencyRecord | None = None
    """The request that made it, of a thread whose first response has an idempotency key."""
    head: Head | None = None
    """None: the current path ends with the newest message."""
    summary: Summary | None = None
    """Of the oldest messages of the path on which it was made. Only `conversations.overflow: compact` makes it."""


class PlacedToolEvent(msgspec.Struct, frozen=True, array_like=True):
    """A call of a tool of ours, or its result, within the text of an answer; where one has paused, also its agents."""

    at: int
    """Characters of the text that came before."""
    event: ServerToolEvent | Agent


class Attached(msgspec.Struct, frozen=True, array_like=True):
    """Data that a store keeps apart from an item."""

    at: int
    """Its place in the text of the item."""
    digest: str
    size: int
    """Of the data, in bytes."""


class StoredMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message. A later entry with the same id replaces an earlier one (the final answer a pending one)."""

    id: str
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str
    created_at: str
    status: MessageStatus = "complete"
    run: str | None = None
    """Run that writes, or wrote, this message."""
    epoch: int = 0
    """How often that run was taken over by another pod: the fencing token of the pod that writes this message."""
    provider: str | None = None
    """Name of the provider that answered."""
    model: str | None = None
    """The model that was requested."""
    upstream_model: str | None = None
    """The model that answered, be it a fallback's, by its provider's name of it."""
    finish_reason: FinishReason | None = None
    error_code: Code | None = None
    tool_calls: list[AnyToolCall] | None = None
    reasoning: str | None = None
    thoughts: list[Thought] | None = None
    """The reasoning once more, in parts, when its vendor has signed them."""
    usage: Usage | None = None
    latency_ms: int | None = None
    item: str = ""
    """The item of the OpenAI dialect that it was sent as, as JSON; empty: it is text."""
    echo: str = ""
    """Of the answer of a response: the parameters that it shows, as JSON."""
    extra: str = ""
    """Of the answer of a response: what came with its end that the common terms do not have, as JSON."""
    context: ContextUse | None = None
    """Of an answer: how much of the conversation its model got; None: all of it."""
    citations: tuple[Citation, ...] = ()
    """The chunks of documents that the model was given for this answer."""
    retrieval: Retrieval = ""
    agents: tuple[AgentUsage, ...] = ()
    """What each agent has used for this answer; empty: no agent has given it."""
    server_tools: list[PlacedToolEvent] | None = None
    """The calls of tools of ours that the answer took, with their results; models do not get them again."""
    decided: str = ""
    """Of an answer whose calls waited for approval: the answer that goes on from the decision; empty: none does."""
    parent: str | None = None
    """Id of the message that it follows, empty: it is a first one. None: the one before it in the store (`tree.py`)."""
    removed: bool = False
    """Whether this entry stands in the place of a message that was removed."""
    attached: tuple[Attached, ...] = ()
    """Data of `item`, in order, that Redis keeps apart; none in the messages that a store returns."""


class ResponsePlace(NamedTuple):
    """A response within an append: the last `size` messages, which are its questions and its answer."""

    run: str
    size: int


@dataclass(frozen=True, slots=True)
class Append:
    """One change of a conversation: all of it is stored in one step, or nothing."""

    messages: tuple[StoredMessage, ...]
    """At least one. The first carries the fencing token, its `epoch`."""
    _: KW_ONLY
    now: str
    """The new `updated_at`."""
    expected_version: int | None
    """Version that the conversation must have; None: any."""
    idempotency: IdempotencyRecord | None = None
    """Kept for `IDEMPOTENCY_SECONDS`; a key that has a record is a conflict: nothing is stored."""
    create: Conversation | None = None
    """The conversation, which is stored first when it is not there."""
    response: ResponsePlace | None = None
    """What `SessionStore.response` finds by its run."""


Change: TypeAlias = Callable[[Conversation], Conversation]
"""Makes a record from the one before; it decides nothing but title, metadata, head and summary."""


class Page(msgspec.Struct, frozen=True):
    """Conversations, newest change first; `next` continues the listing, None at its end.

    There may be none, and yet a `next`: none of those that were looked at is wanted.
    """

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

    async def list(self, tenant: str, wanted: Wanted = ALL, *, limit: int = 20, cursor: str | None = None) -> Page:
        """Return the wanted conversations, newest change first: up to `limit`, among the next `SCANNED`."""
        ...

    async def update(self, tenant: str, conversation: str, change: Change, *, now: str) -> Conversation:
        """Change title, metadata, head and summary as `change` returns them, and return the record.

        No update that comes meanwhile is lost: `change` gets the newest record, and is called again if that has become
        another. Raises `ChatError(CONVERSATION_CHANGED)` when that happens `UPDATE_ATTEMPTS` times.
        """
        ...

    async def remove(self, tenant: str, conversation: str, place: StoredMessage, *, now: str) -> None:
        """Put `place` (`removed`) where a message of its id was, for good.

        It counts as an append, and changes nothing when the message is not there.
        """
        ...

    async def delete(self, tenant: str, conversation: str) -> None:
        """Delete the conversation and its messages."""
        ...

    async def messages(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        """Return all messages in order, later entries having replaced earlier ones of the same id."""
        ...

    async def outline(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        """Return `messages` for all but their items, which can be without data: it need not be read."""
        ...

    async def append(self, tenant: str, conversation: str, append: Append) -> int:
        """Store `append`, renew the time to live, and return the new version.

        Raises `ChatError(CONVERSATION_CHANGED)` when the version is not the expected one, and when the first of the
        messages is there with a greater `epoch`: the fence, for another pod writes it now. Appending the same messages
        again after a lost reply changes nothing (entries carry unique id and status).
        """
        ...

    async def response(self, tenant: str, conversation: str, run: str) -> tuple[StoredMessage, ...]:
        """Return the questions of a response, and its answer as the last; nothing when it is not there.

        That takes no longer in a long conversation. An unknown conversation has no responses.
        """
        ...

    async def forget_response(self, tenant: str, conversation: str, run: str) -> bool:
        """Forget that the messages are a response; returns whether they were one.

        They stay in the conversation; an unlisted one is deleted with its last response.
        """
        ...

    async def delete_older(self, tenant: str, before: datetime, *, limit: int) -> int:
        """Delete up to `limit` listed conversations that were last changed before a time; return their number.

        The oldest go first, with their messages. One that changes meanwhile stays.
        """
        ...

    async def idempotency_record(self, tenant: str, conversation: str, key: str) -> IdempotencyRecord | None:
        """Return the record of an idempotency key; None when there is none, or it has expired."""
        ...

    async def enqueue(self, tenant: str, conversation: str, ticket: str) -> int:
        """Add a ticket to the queue of the conversation, or renew it, and return how many are ahead of it.

        A ticket that is not renewed within `TICKET_SECONDS` is lost. Raises `ChatError(CONVERSATION_BUSY)` when the
        queue has `MAX_QUEUED` already.
        """
        ...

    async def dequeue(self, tenant: str, conversation: str, ticket: str) -> None:
        """Remove a ticket from the queue."""
        ...


def removed(message: str, parent: str | None = None) -> StoredMessage:
    """Return the entry that stands in the place of a message that was removed."""
    return StoredMessage(message, "user", "", "", parent=parent, removed=True)
