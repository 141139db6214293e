"""The ids of responses, conversations and messages, as clients of the OpenAI dialect see them.

A response's id names the conversation or thread that holds it, and its run: so it is found in one step. An item's names
the conversation and its message, in the 64 characters that the vendor allows.
"""

import re
from base64 import urlsafe_b64decode
from typing import Final, NamedTuple
from uuid import UUID

from chatfleet_api.chat.responses import ResponseKey

RESPONSE: Final = "resp_"
CONVERSATION: Final = "conv_"
MESSAGE: Final = "msg_"
REASONING: Final = "rs_"
FUNCTION_CALL: Final = "fc_"
CUSTOM_CALL: Final = "ctc_"

_RESPONSE: Final = re.compile(RESPONSE + "([0-9a-f]{32})([0-9a-f]{32})")
_ITEM: Final = re.compile("[a-z]{1,5}_([A-Za-z0-9_-]{43})(?:_[0-9]{1,9})?")
_CONVERSATION: Final = re.compile(CONVERSATION + "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def response_id(holder: str, run: str) -> str:
    """Return the id of the response that `run` writes in the conversation or thread `holder`."""
    return RESPONSE + (holder + run).replace("-", "")


def read_response_id(text: str) -> ResponseKey | None:
    """Return which response an id is of, None when it can be none of ours."""
    known = _RESPONSE.fullmatch(text)
    return None if known is None else ResponseKey(*(str(UUID(part)) for part in known.groups()))


def conversation_id(conversation: str) -> str:
    """Return the id of a conversation."""
    return CONVERSATION + conversation


def read_conversation_id(text: str) -> str | None:
    """Return which conversation an id is of, None when it can be none of ours."""
    known = _CONVERSATION.fullmatch(text)
    return None if known is None else known[1]


class ItemPlace(NamedTuple):
    """The message that an item is of, and its conversation or thread."""

    conversation: str
    message: str


def read_item_id(text: str) -> ItemPlace | None:
    """Return where an item is, None when its id can be none of ours."""
    known = _ITEM.fullmatch(text)
    if known is None:
        return None
    place = urlsafe_b64decode(known[1] + "=")
    return ItemPlace(str(UUID(bytes=place[:16])), str(UUID(bytes=place[16:])))
