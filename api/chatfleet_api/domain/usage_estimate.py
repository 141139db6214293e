"""Token counts of an answer whose provider reported none. Pure."""

from typing import Final

import msgspec

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import ChatRequest, TextPart

BYTES_PER_TOKEN: Final = 4
"""Usual for English, https://platform.openai.com/tokenizer; scripts of more bytes have fewer characters to a token."""


def usage_estimate(request: ChatRequest, items: int) -> Usage:
    """Return a guess, marked as such: a token for each item that came, and one for every four bytes of text sent.

    Upstreams that report no usage send one token at a time, so the guess at the output is close. Images count nothing.
    """
    texts = (text for message in request.messages for text in _texts(message.content))
    sent = sum(len(text.encode()) for text in texts)
    return Usage(input_tokens=-(-sent // BYTES_PER_TOKEN), output_tokens=items, estimated=True)


def tokens_of(request: ChatRequest) -> int:
    """Return a guess at the tokens of a request: its texts, and its tools as JSON."""
    tools = len(msgspec.json.encode(request.tools)) if request.tools else 0
    return usage_estimate(request, 0).input_tokens - (-tools // BYTES_PER_TOKEN)


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part.text for part in content if isinstance(part, TextPart)] if isinstance(content, list) else []
