"""The blocks of a conversation in the terms that all vendors have in common, and those without a counterpart.

Thinking and citations of earlier answers belong to their own vendor, and hints to a cache change no answer: upstreams
of another dialect do not get them, which is no loss.
"""

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import (
    AnyToolCall,
    ContentPart,
    Function,
    ImagePart,
    ImageURL,
    Message,
    MessageToolCall,
    TextPart,
    Untranslated,
)
from chatfleet_api.web.dialects.messages.body import Content, CountTokensBody, MessageParam

Block: TypeAlias = dict[str, Any]

_OF_EARLIER_ANSWERS: Final = frozenset({"thinking", "redacted_thinking"})
_KNOWN: Final = MappingProxyType(
    {
        "text": frozenset({"type", "text", "cache_control", "citations"}),
        "image": frozenset({"type", "source", "cache_control"}),
        "tool_use": frozenset({"type", "id", "name", "input", "cache_control", "caller"}),
        "tool_reference": frozenset({"type", "tool_name", "cache_control"}),
        "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"}),
    }
)
_SHOWN: Final = 200


class Beyond:
    """Collects what has no counterpart."""

    def __init__(self) -> None:
        self.parts: list[Untranslated] = []

    def add(self, param: str, remedy: str = "Remove it.") -> None:
        """Note a part that has no counterpart."""
        param = param[:_SHOWN]
        message = f"Unsupported value: '{param}', which the model's provider does not have. {remedy}"
        self.parts.append(Untranslated(param, message))


class Conversation:
    """Translates the messages of one request."""

    def __init__(self, beyond: Beyond) -> None:
        self._beyond = beyond

    def messages(self, body: CountTokensBody) -> Iterator[Message]:
        """Yield the conversation, after the instructions."""
        if body.system:
            yield Message("system", self._texts(body.system, "system"))
        for index, turn in enumerate(body.messages):
            yield from self._turn(turn, f"messages[{index}]")

    def _turn(self, turn: MessageParam, message: str) -> Iterator[Message]:
        where = f"{message}.content"
        if turn.role == "system":
            for name in ("clear_at", "output_config"):
                if getattr(turn, name):
                    self._beyond.add(f"{message}.{name}")
            yield Message("system", self._texts(turn.content or "", where))
        elif turn.content is None:
            missing = f"Missing required parameter: '{where}'. Only a message of the role 'system' may omit it."
            raise ChatError(Code.INVALID_REQUEST, missing, param=where)
        elif isinstance(turn.content, str):
            yield Message(turn.role, turn.content)
        elif turn.role == "assistant":
            yield self._answer(turn.content, where)
        else:
            yield from self._question(turn.content, where)

    def _answer(self, blocks: Sequence[Block], where: str) -> Message:
        texts: list[str] = []
        calls: list[AnyToolCall] = []
        for kind, block, place in self._known(blocks, where, ("text", "tool_use")):
            if kind == "text":
                texts.append(str(block.get("text", "")))
                continue
            if not isinstance(block.get("id"), str) or not isinstance(block.get("name"), str):
                self._beyond.add(place, "Set 'id' and 'name'.")
                continue
            arguments = msgspec.json.encode(block.get("input") or {}).decode()
            calls.append(MessageToolCall(block["id"], Function(block["name"], arguments)))
        return Message("assistant", "".join(texts) or (None if calls else ""), tool_calls=calls or None)

    def _question(self, blocks: Sequence[Block], where: str) -> Iterator[Message]:
        """Yield the results of tools, which follow their calls, and what the user wrote."""
        parts: list[ContentPart] = []
        for kind, block, place in self._known(blocks, where, ("text", "image", "tool_result")):
            if kind != "tool_result":
                parts += self._part(kind, block, place)
                continue
            yield self._result(block, place)
        if parts:
            yield Message("user", parts)

    def _result(self, block: Block, where: str) -> Message:
        content = block.get("content") or ""
        found: list[ContentPart] = [TextPart("Error:")] if block.get("is_error") else []
        found += self._found(content, f"{where}.content") if isinstance(content, list) else [TextPart(str(content))]
        texts = [part.text for part in found if isinstance(part, TextPart)]
        ident = str(block.get("tool_use_id", ""))
        return Message("tool", " ".join(texts) if len(texts) == len(found) else found, tool_call_id=ident)

    def _known(self, blocks: Sequence[Block], where: str, kinds: tuple[str, ...]) -> Iterator[tuple[str, Block, str]]:
        """Yield the blocks of `kinds`; note all others, and fields that they do not have."""
        for index, block in enumerate(blocks):
            kind, place = str(block.get("type")), f"{where}[{index}]"
            if kind in _OF_EARLIER_ANSWERS:
                continue
            if kind not in kinds:
                self._beyond.add(place, f"Use blocks of type {', '.join(kinds)}.")
                continue
            for name, value in block.items():
                if name not in _KNOWN[kind] and value is not None:
                    self._beyond.add(f"{place}.{name}")
            yield kind, block, place

    def _found(self, blocks: Sequence[Block], where: str) -> list[ContentPart]:
        """Return what a tool has returned."""
        known = self._known(blocks, where, ("text", "image", "tool_reference"))
        return [part for kind, block, place in known for part in self._part(kind, block, place)]

    def _part(self, kind: str, block: Block, where: str) -> list[ContentPart]:
        if kind == "text":
            return [TextPart(str(block.get("text", "")))]
        if kind == "tool_reference":
            return [TextPart(f"Tool {block.get('tool_name')} is available.")]
        if url := _url(block.get("source")):
            return [ImagePart(ImageURL(url))]
        self._beyond.add(f"{where}.source", "Send the image as base64 or url.")
        return []

    def _texts(self, content: Content, where: str) -> str:
        if isinstance(content, str):
            return content
        return "\n\n".join(str(block.get("text", "")) for _, block, _ in self._known(content, where, ("text",)))


def _url(source: object) -> str | None:
    """Return the address of an image, or one that holds it."""
    if not isinstance(source, dict):
        return None
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    url = source.get("url")
    return url if source.get("type") == "url" and isinstance(url, str) else None
