"""Ids. Only text that `is_id` accepts may become part of a key."""

from typing import TypeAlias
from uuid import UUID

RunKey: TypeAlias = tuple[str, str]
"""Tenant and id of a run."""


def is_id(text: str) -> bool:
    """Return whether `text` is a UUID in its canonical form."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
