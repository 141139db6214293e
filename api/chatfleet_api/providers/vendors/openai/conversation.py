"""A conversation as OpenAI's API and its imitations take it, whichever model began it. Pure."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from chatfleet_api.domain.request import ContentPart, ImagePart, Message
from chatfleet_api.providers.files import require_no_files
from chatfleet_api.providers.images import moved

MAX_ID: Final = 40
"""Longest id of a tool call that OpenAI takes."""


def conversation(messages: Sequence[Message], *, has_original: bool = False) -> list[Message]:
    """Return the messages, with images of users alone, and with ids of tool calls that OpenAI takes.

    Where images have no `detail` `original`, it is `high`, the nearest, and there are no files: raises
    `ChatError(INVALID_REQUEST)`.
    """
    if not has_original:
        require_no_files(messages)
    short = [_with_short_ids(replace(each, thoughts=None) if each.thoughts else each) for each in messages]
    placed = moved(short, ("user",))
    return placed if has_original else [_without_original(message) for message in placed]


def _with_short_ids(message: Message) -> Message:
    """Return `message` with ids of tool calls that OpenAI takes; those of vLLM are longer."""
    if message.tool_call_id:
        return replace(message, tool_call_id=short_id(message.tool_call_id))
    if message.tool_calls:
        calls = [replace(call, id=short_id(call.id)) for call in message.tool_calls]
        return replace(message, tool_calls=calls)
    return message


def short_id(ident: str) -> str:
    """Return the same short id for the same long one, so that call and result match."""
    return ident if len(ident) <= MAX_ID else f"call_{sha256(ident.encode()).hexdigest()[:32]}"


def _without_original(message: Message) -> Message:
    if not isinstance(message.content, list):
        return message
    return replace(message, content=[_with_known_detail(part) for part in message.content])


def _with_known_detail(part: ContentPart) -> ContentPart:
    if not isinstance(part, ImagePart) or part.image_url.detail != "original":
        return part
    return ImagePart(replace(part.image_url, detail="high"))
