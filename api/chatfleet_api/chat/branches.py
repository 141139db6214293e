"""Where in the tree of a conversation a turn goes on, and which end a caller chooses. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.store import Change, Conversation, Head, StoredMessage
from chatfleet_api.sessions.tree import ROOT, current_head, question_of


class Branch(NamedTuple):
    """Where a turn goes on."""

    parent: str | msgspec.UnsetType | None = msgspec.UNSET
    """After this message, None: after none. Unset: after the current head."""
    again: str | msgspec.UnsetType = msgspec.UNSET
    """After the question that this message is or answers."""


CURRENT: Final = Branch()


def end_of(branch: Branch, conversation: Conversation, messages: Sequence[StoredMessage]) -> str:
    """Return the id of the last message before a turn.

    Raises `ChatError`: INVALID_REQUEST for a parent, and NOT_FOUND for an answer, that is not there.
    """
    parent, again = branch
    if isinstance(again, str):
        return _question(messages, again)
    if isinstance(parent, msgspec.UnsetType):
        return current_head(conversation, messages)
    if parent is None:
        return ROOT
    require_message(messages, parent, "parent_id")
    return parent


def _question(messages: Sequence[StoredMessage], again: str) -> str:
    if all(message.id != again for message in messages):
        raise ChatError(Code.NOT_FOUND, "This message does not exist in the conversation.")
    question = question_of(messages, again)
    if question is None:
        raise ChatError(Code.INVALID_REQUEST, "The message answers no message of the user. Send a new message.")
    return question


def with_head(change: Change, messages: Sequence[StoredMessage], head: str | None) -> Change:
    """Return a change that also chooses the end of the current path; None: the newest message.

    Raises `ChatError(INVALID_REQUEST)` for a message that is not there.
    """
    chosen: Head | None = None
    if head is not None:
        require_message(messages, head, "head")
        chosen = Head(head, messages[-1].id)
    return lambda conversation: msgspec.structs.replace(change(conversation), head=chosen)


def require_message(messages: Sequence[StoredMessage], ident: str, param: str) -> None:
    """Raise `ChatError(INVALID_REQUEST)` for a message that is not there."""
    if all(message.id != ident for message in messages):
        problem = "the conversation has no such message. Send the id of one of its messages."
        raise ChatError(Code.INVALID_REQUEST, f"Invalid value for '{param}': {problem}", param=param)
