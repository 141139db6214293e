"""The messages of a conversation as input items of the Responses API, whichever model began it. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from chatfleet_api.domain.request import AnyToolCall, ContentPart, CustomToolCall, FilePart, Message, Role, TextPart
from chatfleet_api.providers.files import require_no_files
from chatfleet_api.providers.images import moved
from chatfleet_api.providers.vendors.openai.conversation import short_id

Item: TypeAlias = dict[str, Any]


class Takes(NamedTuple):
    """What differs between OpenAI and its imitations."""

    images: tuple[Role, ...] = ("user", "tool")
    """Roles whose messages may have images."""
    developers: bool = True
    cache_key: bool = True
    """Whether prompt caches have a key."""
    original: bool = True
    """Whether images may have the `detail` `original`; else it is `high`, the nearest."""
    files: bool = True


OPENAI: Final = Takes()
IMITATION: Final = Takes(("user",), developers=False, cache_key=False, original=False, files=False)


def items_of(messages: Sequence[Message], takes: Takes) -> list[Item]:
    """Return the items: a message may become several, its text and each of its tool calls.

    Raises `ChatError(INVALID_REQUEST)` for a file where there may be none.
    """
    if not takes.files:
        require_no_files(messages)
    calls = (call for message in messages for call in message.tool_calls or ())
    custom = frozenset(call.id for call in calls if isinstance(call, CustomToolCall))
    return [item for message in moved(messages, takes.images) for item in _items(message, takes, custom)]


def _items(message: Message, takes: Takes, custom: frozenset[str]) -> Iterator[Item]:
    if message.role == "tool":
        kind = "custom_tool_call_output" if message.tool_call_id in custom else "function_call_output"
        output = _content(message.content, takes)
        yield {"type": kind, "call_id": short_id(message.tool_call_id or ""), "output": output}
        return
    if message.role == "assistant":
        if text := _text(message.content):
            yield {"type": "message", "role": "assistant", "content": text}
        yield from map(_call, message.tool_calls or ())
        return
    role = "system" if message.role == "developer" and not takes.developers else message.role
    yield {"type": "message", "role": role, "content": _content(message.content, takes)}


def _call(call: AnyToolCall) -> Item:
    if isinstance(call, CustomToolCall):
        custom = call.custom
        item = {"type": "custom_tool_call", "call_id": short_id(call.id)}
        return item | {"name": custom.name, "input": custom.input}
    function = call.function
    item = {"type": "function_call", "call_id": short_id(call.id)}
    return item | {"name": function.name, "arguments": function.arguments}


def _text(content: str | list[ContentPart] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content if isinstance(part, TextPart))


def _content(content: str | list[ContentPart] | None, takes: Takes) -> str | list[Item]:
    if content is None or isinstance(content, str):
        return content or ""
    return [_part(part, takes) for part in content]


def _part(part: ContentPart, takes: Takes) -> Item:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, FilePart):
        return {"type": "input_file", "filename": part.file.filename, "file_data": part.file.file_data}
    detail = part.image_url.detail or "auto"
    if detail == "original" and not takes.original:
        detail = "high"
    return {"type": "input_image", "image_url": part.image_url.url, "detail": detail}
