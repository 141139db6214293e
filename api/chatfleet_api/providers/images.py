"""Images in messages of a role that a vendor's API takes none from, moved into messages of the user. Pure.

OpenAI takes images from users alone, Anthropic also from tools. Moved images follow the message that they come from and
the results of tools, which must follow their calls. A line names where they come from.
"""

from collections.abc import Container, Iterator, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from chatfleet_api.domain.request import ContentPart, ImagePart, Message, Role, TextPart

ELSEWHERE: Final = "The images are in the next message of the user."
"""Stands in a message that had nothing but images."""


class Placed(NamedTuple):
    """A message, and the position in the client's request that it comes from."""

    position: int
    message: Message
    is_moved: bool = False
    """Whether it holds the images of the message at `position`, which may not hold them itself."""


def movable(messages: Sequence[Message], takes: Container[Role]) -> Iterator[Placed]:
    """Yield the messages, in which those of roles other than `takes` have no images."""
    waiting: list[Placed] = []
    for position, message in enumerate(messages):
        if message.role != "tool":
            yield from waiting
            waiting = []
        images = [] if message.role in takes else _images(message)
        if not images:
            yield Placed(position, message)
            continue
        yield Placed(position, _without_images(message))
        parts: list[ContentPart] = [TextPart(f"Images {source(message)}:"), *images]
        waiting.append(Placed(position, Message("user", parts), is_moved=True))
    yield from waiting


def moved(messages: Sequence[Message], takes: Container[Role]) -> list[Message]:
    """Return the messages as `movable` does, with moved images at the beginning of the user's next message."""
    result: list[Message] = []
    joins = False
    for placed in movable(messages, takes):
        if joins and placed.message.role == "user":
            parts = [*_parts(result.pop()), *_parts(placed.message)]
            result.append(replace(placed.message, content=parts))
        else:
            result.append(placed.message)
        joins = placed.is_moved
    return result


def _images(message: Message) -> list[ImagePart]:
    return (
        [part for part in message.content if isinstance(part, ImagePart)] if isinstance(message.content, list) else []
    )


def _without_images(message: Message) -> Message:
    texts = [part for part in _parts(message) if isinstance(part, TextPart)]
    if len(texts) > 1:
        return replace(message, content=texts)
    return replace(message, content=texts[0].text if texts else ELSEWHERE)


def _parts(message: Message) -> list[ContentPart]:
    content = message.content or []
    return [TextPart(content)] if isinstance(content, str) else content


def source(message: Message) -> str:
    """Return where images of `message` come from, in words."""
    if message.role == "tool":
        return f"from the result of the tool call {message.tool_call_id}"
    return "from the assistant's message" if message.role == "assistant" else "from the instructions"
