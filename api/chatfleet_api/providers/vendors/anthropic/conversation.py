"""A conversation in OpenAI's terms, as Anthropic takes it, whichever model began it. Pure.

Anthropic refuses texts without a visible character, empty messages, a last answer that ends in white space, ids of tool
calls with other characters than its own or that occur twice, calls whose results do not follow at once, and images of
the assistant.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Signature
from chatfleet_api.domain.request import ContentPart, CustomToolCall, FilePart, Message, MessageToolCall, TextPart
from chatfleet_api.providers.files import data_of
from chatfleet_api.providers.images import movable
from chatfleet_api.providers.vendors.anthropic.images import image

if TYPE_CHECKING:
    from chatfleet_api.providers.vendors.anthropic.sdk_types import (
        Base64PDFSourceParam,
        DocumentBlockParam,
        ImageBlockParam,
        MessageParam,
        RedactedThinkingBlockParam,
        TextBlockParam,
        ThinkingBlockParam,
        ToolResultBlockParam,
        ToolUseBlockParam,
    )

    Block: TypeAlias = (
        TextBlockParam
        | ImageBlockParam
        | DocumentBlockParam
        | ToolUseBlockParam
        | ToolResultBlockParam
        | ThinkingBlockParam
        | RedactedThinkingBlockParam
    )

_Placed: TypeAlias = tuple[str, Message]
"""A message and the path to it."""

_FOREIGN: Final = re.compile(r"[^a-zA-Z0-9_-]")
_NO_RESULT: Final = "The tool gave no result."
_NO_QUESTION: Final = "."
"""Stands before an answer with which a conversation begins: Anthropic wants the user to begin."""


def instructions(messages: Sequence[Message]) -> str:
    """Return all instructions as one: Anthropic has them before the conversation, not within it."""
    chosen = (message for message in messages if message.role in ("system", "developer"))
    return "\n\n".join(part.text for message in chosen for part in _visible(message) if isinstance(part, TextPart))


def called_tools(messages: Sequence[Message]) -> list[str]:
    """Return the names of the tools that were called, each once."""
    calls = (call for message in messages for call in message.tool_calls or () if isinstance(call, MessageToolCall))
    return list(dict.fromkeys(_FOREIGN.sub("_", call.function.name) for call in calls))


def turns(messages: Sequence[Message], model: str = "") -> "list[MessageParam]":
    """Return the conversation for `model`, in which the roles alternate and no message is empty.

    Raises `ChatError(INVALID_REQUEST)`, with the field, for what has no meaning in Anthropic's terms.
    """
    calls = _Calls()
    params: list[MessageParam] = []
    groups = _grouped(messages)
    for is_assistant, placed in groups:
        if is_assistant:
            content = _answer(placed, calls, model, is_last=placed is groups[-1][1])
            params.append({"role": "assistant", "content": content})
        else:
            params.append({"role": "user", "content": _question(placed, calls)})
    if unanswered := calls.unanswered():
        params.append({"role": "user", "content": unanswered})
    return _framed(params)


def _grouped(messages: Sequence[Message]) -> list[tuple[bool, list[_Placed]]]:
    """Return the messages that have content, by turn, with their places; tools speak in the user's turn."""
    grouped: list[tuple[bool, list[_Placed]]] = []
    for position, message, _ in movable(messages, ("user", "tool")):
        has_content = message.role == "tool" or message.tool_calls or _visible(message)
        if message.role in ("system", "developer") or not has_content:
            continue
        is_assistant = message.role == "assistant"
        if not grouped or grouped[-1][0] != is_assistant:
            grouped.append((is_assistant, []))
        grouped[-1][1].append((f"messages[{position}]", message))
    return grouped


def _framed(params: "list[MessageParam]") -> "list[MessageParam]":
    """Return the turns with the beginning and the end that Anthropic takes."""
    if not params:
        message = "The model's provider requires a message with visible text or an image; add one to 'messages'."
        raise ChatError(Code.INVALID_REQUEST, message, param="messages")
    if params[0]["role"] == "assistant":
        params.insert(0, {"role": "user", "content": [{"type": "text", "text": _NO_QUESTION}]})
    return params


def _answer(placed: Sequence[_Placed], calls: "_Calls", model: str, *, is_last: bool) -> "list[Block]":
    blocks: list[Block] = []
    for where, message in placed:
        blocks += _thoughts(message, model)
        blocks += _parts(message, where)
        for position, call in enumerate(message.tool_calls or ()):
            if isinstance(call, CustomToolCall):
                raise _custom(f"{where}.tool_calls[{position}]")
            arguments = _arguments(call.function.arguments, f"{where}.tool_calls[{position}].function.arguments")
            name = _FOREIGN.sub("_", call.function.name)
            blocks.append({"type": "tool_use", "id": calls.began(call.id), "name": name, "input": arguments})
    if is_last and blocks[-1]["type"] == "text":
        blocks[-1] = {"type": "text", "text": blocks[-1]["text"].rstrip()}
    return blocks


def _thoughts(message: Message, model: str) -> "list[Block]":
    """Return the thoughts that `model` has signed: it wants its own back, and no other model gets them."""
    signed = ((part.text, part.signature) for part in message.thoughts or () if part.signature is not None)
    return [_thought(text, signature) for text, signature in signed if signature.model == model]


def _thought(text: str, signature: Signature) -> "Block":
    if signature.redacted:
        return {"type": "redacted_thinking", "data": signature.value}
    return {"type": "thinking", "thinking": text, "signature": signature.value}


def _question(placed: Sequence[_Placed], calls: "_Calls") -> "list[Block]":
    """Return the results of the calls before, which Anthropic wants first, and what the user wrote."""
    results: list[Block] = []
    written: list[Block] = []
    for where, message in placed:
        parts = _parts(message, where)
        if message.role != "tool":
            written += parts
            continue
        result: ToolResultBlockParam = {"type": "tool_result", "tool_use_id": calls.ended(message, where)}
        if parts:
            result["content"] = parts
        results.append(result)
    return [*results, *calls.unanswered(), *written]


class _Calls:
    """The ids of tool calls: ours are valid and occur once, whatever those of the client are."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._open: dict[str, list[str]] = {}
        """From the client's id of a call without result to ours; to several when calls of one answer share an id."""

    def began(self, ident: str) -> str:
        """Return our id of a call. Servers that count their calls begin anew with each answer."""
        base = ours = _FOREIGN.sub("_", ident) or "call"
        number = 1
        while ours in self._used:
            number += 1
            ours = f"{base}_{number}"
        self._used.add(ours)
        self._open.setdefault(ident, []).append(ours)
        return ours

    def ended(self, message: Message, where: str) -> str:
        """Return our id of the call whose result `message` is."""
        ours = self._open.get(message.tool_call_id or "")
        if not ours:
            text = f"The result in '{where}' belongs to no tool call of the message before; correct its tool_call_id."
            raise ChatError(Code.INVALID_REQUEST, text, param=f"{where}.tool_call_id")
        return ours.pop(0)

    def unanswered(self) -> "list[ToolResultBlockParam]":
        """Return results for the calls that have none; Anthropic does not take a call without."""
        missing = [ours for several in self._open.values() for ours in several]
        self._open.clear()
        return [
            {"type": "tool_result", "tool_use_id": ours, "content": _NO_RESULT, "is_error": True} for ours in missing
        ]


def _visible(message: Message) -> list[ContentPart]:
    """Return the parts without texts that are white space alone."""
    content = message.content or []
    parts = [TextPart(content)] if isinstance(content, str) else content
    return [part for part in parts if not (isinstance(part, TextPart) and not part.text.strip())]


def _parts(message: Message, where: str) -> "list[TextBlockParam | ImageBlockParam | DocumentBlockParam]":
    return [_part(part, f"{where}.content") for part in _visible(message)]


def _part(part: ContentPart, where: str) -> "TextBlockParam | ImageBlockParam | DocumentBlockParam":
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, FilePart):
        source: Base64PDFSourceParam = {"type": "base64", "media_type": "application/pdf", "data": data_of(part)}
        return {"type": "document", "source": source, "title": part.file.filename}
    return image(part.image_url.url, where)


def _custom(where: str) -> ChatError:
    message = f"'{where}' is a call of a custom tool, which the model's provider does not have. Use functions."
    return ChatError(Code.INVALID_REQUEST, message, param=where)


def _arguments(text: str, where: str) -> dict[str, object]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, object] | None) or {}
    except msgspec.MsgspecError as error:
        raise ChatError(Code.INVALID_REQUEST, f"{where} must be a JSON object: {error}", param=where) from error
    except RecursionError as error:
        message = f"The JSON in {where} nests too deeply; use fewer levels."
        raise ChatError(Code.INVALID_REQUEST, message, param=where) from error
