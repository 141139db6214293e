"""The order of conversations in a listing, and the cursor that continues it. Every store lists alike."""

from datetime import datetime
from typing import NamedTuple

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.ids import is_id


class Position(NamedTuple):
    """Where a conversation stands: by its last change, and by id among equals. Listings begin with the greatest."""

    changed: int
    """Microseconds since the Unix epoch."""
    conversation: str

    def cursor(self) -> str:
        """Return the text that continues a listing after this position."""
        return f"{self.changed}.{self.conversation}"


def position(updated_at: str, conversation: str) -> Position:
    """Return where a conversation stands that was last changed at `updated_at` (RFC 3339)."""
    return Position(round(datetime.fromisoformat(updated_at).timestamp() * 1_000_000), conversation)


def read_cursor(cursor: str) -> Position:
    """Return the position that `cursor` was made from; raises `ChatError(INVALID_REQUEST)` when no listing made it."""
    changed, _, conversation = cursor.partition(".")
    if not (changed.isascii() and changed.isdigit() and len(changed) <= 16 and is_id(conversation)):  # noqa: PLR2004
        message = "Invalid value for 'cursor': send next_cursor of an earlier page."
        raise ChatError(Code.INVALID_REQUEST, message, param="cursor")
    return Position(int(changed), conversation)
