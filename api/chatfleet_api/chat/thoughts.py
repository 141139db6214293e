"""Reasoning as text that clients keep and send back: they need not understand it. Pure."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

import msgspec

from chatfleet_api.domain.events import Thought
from chatfleet_api.domain.seals import REASONING

_decode: Final = msgspec.json.Decoder(list[Thought]).decode


def sealed(thoughts: Sequence[Thought]) -> str:
    """Return the reasoning, with its signatures, as `encrypted_content`."""
    return REASONING + urlsafe_b64encode(msgspec.json.encode(thoughts)).decode()


def read_thoughts(text: str) -> list[Thought] | None:
    """Return what `sealed` wrote; None when it is another vendor's."""
    if not text.startswith(REASONING):
        return None
    try:
        return _decode(urlsafe_b64decode(text.removeprefix(REASONING)))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
