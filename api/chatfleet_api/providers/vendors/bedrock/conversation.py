"""A conversation as Converse takes it: by the rules of Anthropic's messages, in blocks of its own. Pure.

Roles alternate, no text is blank, results follow their calls at once: as `anthropic.conversation` makes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, TypeAlias

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ImagePart, Message
from chatfleet_api.providers.files import document_name
from chatfleet_api.providers.vendors.anthropic import conversation as anthropic

_Block: TypeAlias = dict[str, Any]
_Marks: TypeAlias = Mapping[str, _Block]
"""Blocks that the common terms lack, by the texts that stand in their places."""

_NO_OUTPUT: Final = "The tool returned nothing."
"""Stands in a result without content, which Converse does not take."""


def system(messages: Sequence[Message]) -> list[_Block]:
    """Return the instructions, which Converse has before the conversation."""
    text = anthropic.instructions(messages)
    return [{"text": text}] if text else []


def turns(messages: Sequence[Message], model: str, marks: _Marks) -> list[_Block]:
    """Return the conversation for `model`, with what it has signed, and with what texts mark.

    Raises `ChatError(INVALID_REQUEST)`, with the field, for what Converse does not take.
    """
    _require_data(messages)
    params: Sequence[Mapping[str, Any]] = anthropic.turns(messages, model)
    block = partial(_block, marks, count(sum("document" in each for each in marks.values())))
    return [{"role": param["role"], "content": list(map(block, param["content"]))} for param in params]


def _require_data(messages: Sequence[Message]) -> None:
    for position, message in enumerate(messages):
        for part in message.content if isinstance(message.content, list) else ():
            if isinstance(part, ImagePart) and part.image_url.url.lstrip()[:5].lower() != "data:":
                where = f"messages[{position}].content"
                text = f"The image in '{where}' is at an address, from which the model's provider does not fetch it"
                raise ChatError(Code.INVALID_REQUEST, f"{text}; send a data URL.", param=where)


def _block(marks: _Marks, documents: Iterator[int], block: Mapping[str, Any]) -> _Block:
    """Return a block of Anthropic's terms; `documents` numbers those that the client sent as files."""
    match block["type"]:
        case "text":
            return marks.get(block["text"]) or {"text": block["text"]}
        case "image" | "document":
            return _file(block, documents)
        case "tool_use":
            return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
        case "thinking":
            text = {"text": block["thinking"], "signature": block["signature"]}
            return {"reasoningContent": {"reasoningText": text}}
        case "redacted_thinking":
            return {"reasoningContent": {"redactedContent": block["data"]}}
        case _:
            return {"toolResult": _result(marks, documents, block)}


def _file(block: Mapping[str, Any], documents: Iterator[int]) -> _Block:
    source = block["source"]
    _, _, kind = source["media_type"].partition("/")
    content = {"format": kind, "source": {"bytes": source["data"]}}
    if block["type"] == "image":
        return {"image": content}
    stem, _, _ = block["title"].rpartition(".")
    return {"document": content | {"name": document_name(stem, next(documents))}}


def _result(marks: _Marks, documents: Iterator[int], block: Mapping[str, Any]) -> _Block:
    content = block.get("content") or [{"type": "text", "text": _NO_OUTPUT}]
    blocks = [{"text": content}] if isinstance(content, str) else [_block(marks, documents, each) for each in content]
    result: _Block = {"toolUseId": block["tool_use_id"], "content": blocks}
    return result | {"status": "error"} if block.get("is_error") else result
