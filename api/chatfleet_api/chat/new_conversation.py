"""A conversation to begin, and what it begins with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec.structs import replace

from chatfleet_api.sessions.store import Head, StoredMessage
from chatfleet_api.sessions.tree import ROOT


class NewItem(Protocol):
    """A message, or another item, that a new conversation has at once."""

    def stored(self, message_id: str, now: str) -> StoredMessage:
        """Return it as it is stored under an id at a time."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NewConversation:
    """What a caller decides of a conversation to begin; everything is optional."""

    user_id: str | None = None
    title: str | None = None
    metadata: Mapping[str, Any] | None = None
    items: Sequence[NewItem] = field(default_factory=tuple)
    param: str = "items"
    """The field that has the items."""
    created_at: str | None = None
    """As conversations carry times; None: now."""
    parents: Mapping[int, int] = field(default_factory=dict)
    """Which item an item follows, by their places, -1: none. One that is not here follows the one before it."""
    head: int | None = None
    """Place of the item that the current path ends with; None: the last."""

    def linked(self, messages: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
        """Return the stored items with their parents."""
        return tuple(
            message if (parent := self.parents.get(place)) is None else replace(message, parent=_id(messages, parent))
            for place, message in enumerate(messages)
        )

    def head_of(self, messages: Sequence[StoredMessage]) -> Head | None:
        """Return the choice of the current path among the stored items."""
        return None if self.head is None else Head(messages[self.head].id, messages[-1].id)


def _id(messages: Sequence[StoredMessage], place: int) -> str:
    return messages[place].id if place >= 0 else ROOT


EMPTY = NewConversation()
