"""A conversation to begin, and what it begins with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chatfleet_api.sessions.store import StoredMessage


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
    created_at: str | None = None
    """As conversations carry times; None: now."""


EMPTY = NewConversation()
