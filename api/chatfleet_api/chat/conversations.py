"""Conversations: kept by the session store, and written by one run at a time."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import msgspec

from chatfleet_api.chat import history
from chatfleet_api.chat.attaching import Attaching
from chatfleet_api.chat.branches import with_head
from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.new_conversation import EMPTY, NewConversation
from chatfleet_api.chat.ownership import require_visible
from chatfleet_api.chat.queueing import Queue, TryStart
from chatfleet_api.chat.replay import Replay, find_replay
from chatfleet_api.chat.room import Adding
from chatfleet_api.chat.sending import MessageSender, NewMessage, with_allowed_model
from chatfleet_api.chat.summaries import without_summary
from chatfleet_api.domain.errors import ConversationConflictError, RejectedError
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.listing import ALL, Wanted
from chatfleet_api.sessions.store import (
    Append,
    ArchiveUnavailableError,
    Change,
    Conversation,
    IdempotencyRecord,
    Page,
    SessionStore,
    StoredMessage,
)
from chatfleet_api.sessions.tree import current_path, emptied
from chatfleet_contract.spec import OnBusy


@dataclass(frozen=True, kw_only=True)
class Conversations:
    """What callers do with conversations.

    Every method raises `ChatError(STORAGE_UNAVAILABLE)`, and those that name a conversation CONVERSATION_NOT_FOUND.
    """

    sessions: SessionStore
    pool: RunPool
    sender: MessageSender
    queue: Queue
    on_busy: Live[OnBusy]
    """What to do with a message while an answer is being written, when the message does not choose."""
    attaching: Attaching
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    new_id: Callable[[], str]
    """Makes UUIDv7 text."""

    async def create(self, principal: Principal, new: NewConversation = EMPTY) -> Conversation:
        """Create a conversation, with its items in one step; raises `ChatError(CONVERSATION_FULL)`."""
        now = history.stamp(self.now())
        conversation = Conversation(
            self.new_id(),
            new.user_id or principal.user,
            new.title,
            dict(new.metadata or {}),
            created_at=new.created_at or now,
            updated_at=now,
        )
        if not new.items:
            await self.sessions.create(principal.tenant, conversation)
            return conversation
        messages = new.linked([item.stored(self.new_id(), now) for item in new.items])
        self.sender.room().require((), Adding.of(messages, param=new.param))
        conversation = msgspec.structs.replace(conversation, head=new.head_of(messages))
        append = Append(messages, now=now, expected_version=None, create=conversation)
        await self.sessions.append(principal.tenant, conversation.id, append)
        return conversation

    async def update(
        self,
        principal: Principal,
        conversation: str,
        change: Change,
        *,
        head: str | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> Conversation:
        """Change title and metadata of a conversation, and with `head` the message that its current path ends with.

        Raises:
            ChatError: CONVERSATION_CHANGED, INVALID_REQUEST.
        """
        await require_visible(self.sessions, principal, conversation)
        if not isinstance(head, msgspec.UnsetType):
            change = with_head(change, await self.sessions.outline(principal.tenant, conversation), head)
        now = history.stamp(self.now())
        return await self.sessions.update(principal.tenant, conversation, change, now=now)

    async def add(self, principal: Principal, conversation: str, items: Sequence[NewItem]) -> tuple[StoredMessage, ...]:
        """Add items to a conversation, in one step, and return them as messages.

        Raises:
            ChatError: CONVERSATION_BUSY, CONVERSATION_CHANGED, CONVERSATION_FULL.
        """
        await require_visible(self.sessions, principal, conversation)
        now = history.stamp(self.now())
        messages = tuple(item.stored(self.new_id(), now) for item in items)
        place = await self.sender.place(principal.tenant, conversation, adding=Adding.of(messages, param="items"))
        append = Append((*place.carried, *place.following(messages)), now=now, expected_version=place.version)
        await self.sessions.append(principal.tenant, conversation, append)
        return messages

    async def remove(self, principal: Principal, conversation: str, message: str) -> Conversation:
        """Remove a message for good, and return the conversation."""
        await require_visible(self.sessions, principal, conversation)
        place = emptied(await self.sessions.outline(principal.tenant, conversation), message)
        now = history.stamp(self.now())
        await self.sessions.remove(principal.tenant, conversation, place, now=now)
        return await without_summary(self.sessions, principal.tenant, conversation, now)

    async def list(
        self, principal: Principal, wanted: Wanted = ALL, *, limit: int = 20, cursor: str | None = None
    ) -> Page:
        """Return the wanted conversations that the caller sees, newest change first; a page may have fewer."""
        wanted = replace(wanted, user_id=principal.user or wanted.user_id)
        return await self.sessions.list(principal.tenant, wanted, limit=limit, cursor=cursor)

    async def get(self, principal: Principal, conversation: str) -> Conversation:
        """Return a conversation."""
        await require_visible(self.sessions, principal, conversation)
        return await self.sessions.get(principal.tenant, conversation)

    async def messages(self, principal: Principal, conversation: str) -> tuple[StoredMessage, ...]:
        """Return the messages of a conversation, of all branches, oldest first."""
        await require_visible(self.sessions, principal, conversation)
        return await self.sessions.messages(principal.tenant, conversation)

    async def current(self, principal: Principal, conversation: str) -> tuple[StoredMessage, ...]:
        """Return the messages of the current path of a conversation, oldest first."""
        known = await self.get(principal, conversation)
        return current_path(known, await self.sessions.messages(principal.tenant, conversation))

    async def delete(self, principal: Principal, conversation: str) -> None:
        """Delete a conversation, and cancel the answer that is being written in it."""
        pending = await _pending(self.sessions, principal, conversation)
        await self.sessions.delete(principal.tenant, conversation)
        if pending and pending.run:
            await self.pool.cancel(principal.tenant, pending.run)

    async def cancel(self, principal: Principal, conversation: str) -> str | None:
        """Cancel the answer that is being written, on whichever pod; returns its run, None when there is none."""
        await require_visible(self.sessions, principal, conversation)
        pending = history.pending(await self.sessions.outline(principal.tenant, conversation))
        if pending is None or pending.run is None or not await self.pool.cancel(principal.tenant, pending.run):
            return None
        return pending.run

    async def send(
        self, principal: Principal, conversation: str, message: NewMessage, *, key: str | None = None
    ) -> Run | Replay:
        """Send a message to a conversation and start the run that answers it.

        The user's message and the pending answer are stored, in one step, before the provider is called: what the
        return of this method acknowledges is kept. An idempotency `key` makes it safe to send again: the answer in
        progress, or the one that was given, is returned as a `Replay`.

        Raises:
            ChatError: MODEL_NOT_FOUND, AT_CAPACITY, DRAINING, CONVERSATION_BUSY, CONVERSATION_CHANGED,
                CONVERSATION_FULL, IDEMPOTENCY_MISMATCH, ATTACHMENT_UNAVAILABLE, INVALID_REQUEST.
        """
        await require_visible(self.sessions, principal, conversation)
        message = with_allowed_model(message, principal, self.sender.catalogue())
        record: IdempotencyRecord | None = None
        if key is not None:
            digest = hashlib.sha256(msgspec.json.encode(message)).hexdigest()
            record = IdempotencyRecord(key, digest, self.new_id())
            if replay := await find_replay(self.pool, self.sessions, principal.tenant, conversation, record):
                return replay
        if isinstance(message.attachments, tuple):
            with self.pool.admit():  # what is attached may take seconds to come
                message = await self.attaching.whole(message, principal.tenant)
        start: TryStart[Run | Replay] = partial(self.sender.send, principal, conversation, message)
        if record is not None:
            start = partial(_start_or_replay, self.sender, principal, conversation, message, record)
        on_busy, interrupt = message.on_busy or self.on_busy(), partial(self.cancel, principal, conversation)
        return await self.queue.start(principal.tenant, conversation, start, on_busy=on_busy, interrupt=interrupt)


async def _start_or_replay(
    sender: MessageSender, principal: Principal, conversation: str, message: NewMessage, record: IdempotencyRecord
) -> Run | Replay:
    """Start the run; replay if the conversation is not free because the same request has come before."""
    try:
        return await sender.send(principal, conversation, message, idempotency=record)
    except (ConversationConflictError, RejectedError):
        if replay := await find_replay(sender.pool, sender.sessions, principal.tenant, conversation, record):
            return replay
        raise


async def _pending(sessions: SessionStore, principal: Principal, conversation: str) -> StoredMessage | None:
    """Return the answer that is being written in a conversation that is to be deleted."""
    await require_visible(sessions, principal, conversation)
    try:
        return history.pending(await sessions.outline(principal.tenant, conversation))
    except ArchiveUnavailableError:  # it has expired, so that there is none
        return None
