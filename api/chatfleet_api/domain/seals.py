"""What clients get as `encrypted_content` of models whose own API has none: no vendor can read it. Pure."""

from base64 import urlsafe_b64decode
from typing import Final

REASONING: Final = "chatfleet.1."
"""Begins reasoning that was translated."""
SUMMARY: Final = "chatfleet.summary.1."
"""Begins a summary of a conversation."""
SEALS: Final = (REASONING, SUMMARY)
_HEADING: Final = "A summary of the conversation so far:\n\n"


def summary_of(encrypted: str) -> str | None:
    """Return what a model gets of a summary; None when it is another vendor's."""
    if not encrypted.startswith(SUMMARY):
        return None
    try:
        text = urlsafe_b64decode(encrypted.removeprefix(SUMMARY)).decode()
    except ValueError:
        return None
    return _HEADING + text if text else None
