"""Which run a reader joins who comes, or comes back, to a conversation, and where in it."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from chatfleet_api.chat.chat import Chat
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.store import StoredMessage


class Position(NamedTuple):
    """The last event that a reader has seen: its number, in a certain run or in the conversation's newest."""

    run: str | None = None
    seq: int = 0


async def joined(chat: Chat, tenant: str, conversation: str, seen: Position | None) -> Position | None:
    """Return where to read on, None when nothing is to come for a reader who has `seen` so much.

    The newest run is joined, be it under way or at its end; a reader who was in an older one gets the rest of that.

    Raises:
        ChatError: CONVERSATION_NOT_FOUND, STORAGE_UNAVAILABLE; NOT_FOUND for a run that is not the conversation's.
    """
    messages = await chat.sessions.messages(tenant, conversation)
    run = joinable(messages, seen)
    if run is None:
        return None
    after = seen.seq if seen else 0
    if any(message.run == run and message.status == "pending" for message in messages):
        return Position(run, after)
    state = await chat.log.state(tenant, run)
    if state == "unknown" and seen is None:  # it is over for longer than its events are kept
        return None
    if state == "ended" and not await _more(chat, tenant, run, after):
        return None
    return Position(run, after)


def joinable(messages: Sequence[StoredMessage], seen: Position | None) -> str | None:
    """Return the run to join, None when there was none; raise `ChatError(NOT_FOUND)` for one of somebody else's."""
    runs = [message.run for message in messages if message.run]
    if seen is None or seen.run is None:
        return runs[-1] if runs else None
    if seen.run not in runs:
        raise ChatError(Code.NOT_FOUND, "This stream is not one of this conversation.")
    return seen.run


async def _more(chat: Chat, tenant: str, run: str, after: int) -> bool:
    async with aclosing(chat.pool.read(tenant, run, after)) as batches:
        return await anext(batches, None) is not None
