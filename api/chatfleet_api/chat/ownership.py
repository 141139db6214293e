"""Which conversations a caller sees: one whose credential names a user, that user's; any other, all of its tenant."""

from contextlib import suppress

from chatfleet_api.domain import presence
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Principal
from chatfleet_api.sessions.store import SessionStore


async def require_visible(sessions: SessionStore, principal: Principal, conversation: str) -> None:
    """Raise `ChatError(CONVERSATION_NOT_FOUND)` for a conversation, or thread, of another user.

    One that does not exist raises the same, after the same command to the store. Owners never change.
    """
    if principal.user is None:
        if presence.visit() is not None:  # of whom this request is, is known by its conversation alone
            with suppress(ChatError):  # who is present decides nothing
                presence.note(principal.tenant, (await sessions.get(principal.tenant, conversation)).user_id)
        return
    if (await sessions.get(principal.tenant, conversation)).user_id != principal.user:
        raise ChatError(Code.CONVERSATION_NOT_FOUND)
