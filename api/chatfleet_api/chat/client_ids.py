"""Conversations that clients name by ids of their own: each caller has its own, whatever others call theirs."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID, uuid5

from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.history import stamp
from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.room import Adding
from chatfleet_api.domain.errors import ConversationConflictError, ConversationNotFoundError
from chatfleet_api.domain.principal import Principal
from chatfleet_api.sessions.store import Append, ArchiveUnavailableError, Conversation

_NAMESPACE: Final = UUID("5e7b2a94-3f0d-4c58-9d1b-7c2f86a0e413")


def conversation_of(principal: Principal, named: str) -> str:
    """Return the id of the conversation that a caller names `named`.

    Users of a tenant who choose the same name have a conversation each; so have tenants, since each key of the store
    has the tenant.
    """
    return str(uuid5(_NAMESPACE, f"{principal.user or ''}\n{named}"))


async def ensure(
    conversations: Conversations,
    principal: Principal,
    conversation: str,
    *,
    user: str | None = None,
    items: Sequence[NewItem] = (),
) -> None:
    """Create a conversation with the id of `conversation_of`, and with `items`, unless it is there.

    While the archive is unavailable, one that may have expired begins anew, so that an outage stops no chat; the
    archive has both parts as one. Raises `ChatError(CONVERSATION_FULL)`.
    """
    try:
        await conversations.get(principal, conversation)
    except (ConversationNotFoundError, ArchiveUnavailableError):
        now = stamp(conversations.now())
        made = Conversation(conversation, user or principal.user, None, {}, created_at=now, updated_at=now)
        if not items:
            await conversations.sessions.create(principal.tenant, made)
            return
        messages = tuple(item.stored(conversations.new_id(), now) for item in items)
        conversations.sender.room().require((), Adding.of(messages, param="history"))
        append = Append(messages, now=now, expected_version=0, create=made)
        with suppress(ConversationConflictError):  # an equal request was first
            await conversations.sessions.append(principal.tenant, conversation, append)
