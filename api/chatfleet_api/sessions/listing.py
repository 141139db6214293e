"""What a listing of conversations shows, its order, and the cursor that continues it. Every store lists alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.ids import is_id

SCANNED: Final = 1000
"""Conversations that one page looks at: with fewer matches among them, the page is short and its cursor goes on."""


class Position(NamedTuple):
    """Where a conversation stands: by its last change, and by id among equals. Listings begin with the greatest."""

    changed: int
    """Microseconds since the Unix epoch."""
    conversation: str

    def cursor(self) -> str:
        """Return the text that continues a listing after this position."""
        return f"{self.changed}.{self.conversation}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which conversations a listing shows: all that meet every condition."""

    user_id: str | None = None
    """Their user; None: any."""
    since: datetime | None = None
    """Time, with zone, of the earliest last change; None: any."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Value of each key of the metadata, as text or as the JSON of a number or a boolean."""
    title: str = ""
    """Words that are all in the title, in any case and order, also within words."""

    @property
    def oldest(self) -> int | None:
        """Return `since` in microseconds since the Unix epoch."""
        return None if self.since is None else _microseconds(self.since)

    @property
    def reads(self) -> bool:
        """Return whether the records decide, and not the places of conversations alone."""
        return bool(self.metadata or self.title)

    def has(self, title: str | None, metadata: Mapping[str, Any]) -> bool:
        """Return whether a conversation with this title and metadata is wanted."""
        known = (title or "").casefold()
        return all(word in known for word in self.title.casefold().split()) and all(
            key in metadata and _text(metadata[key]) == value for key, value in self.metadata.items()
        )


ALL: Final = Wanted()
"""Every conversation of a tenant."""


def position(updated_at: str, conversation: str) -> Position:
    """Return where a conversation stands that was last changed at `updated_at` (RFC 3339)."""
    return Position(_microseconds(datetime.fromisoformat(updated_at)), conversation)


def read_cursor(cursor: str) -> Position:
    """Return the position that `cursor` was made from; raises `ChatError(INVALID_REQUEST)` when no listing made it."""
    changed, _, conversation = cursor.partition(".")
    if not (changed.isascii() and changed.isdigit() and len(changed) <= 16 and is_id(conversation)):  # noqa: PLR2004
        message = "Invalid value for 'cursor': send next_cursor of an earlier page."
        raise ChatError(Code.INVALID_REQUEST, message, param="cursor")
    return Position(int(changed), conversation)


def _microseconds(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)


def _text(value: Any) -> str:  # noqa: ANN401  # any JSON value
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
