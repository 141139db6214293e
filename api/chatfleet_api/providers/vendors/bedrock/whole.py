"""An answer that comes as one JSON document, of Converse or of Anthropic's Messages, as payloads of a stream. Pure."""

from typing import Any, Final

import msgspec

from chatfleet_api.providers.vendors.anthropic import whole as anthropic_whole
from chatfleet_api.providers.whole import decoder

_Object = dict[str, Any]


_NULL: Final = msgspec.Raw(b"null")


class _Message(msgspec.Struct, frozen=True):
    content: list[_Object] = []


class _Output(msgspec.Struct, frozen=True):
    message: _Message = _Message()


class _Answer(msgspec.Struct, rename="camel"):
    output: _Output = _Output()
    stop_reason: str = ""
    usage: msgspec.Raw = msgspec.Raw(b"{}")
    error: msgspec.Raw = _NULL
    type: str = ""


_decode: Final = decoder(_Answer)


def events_of(document: bytes) -> list[bytes]:
    """Return the events of the whole answer, or of the error that came in its place; raise `ChatError` if neither."""
    answer = _decode(document)
    if answer.type == "message":
        return anthropic_whole.events_of(document)
    if answer.error != _NULL:
        return [msgspec.json.encode({"error": answer.error})]
    events: list[_Object] = [{"messageStart": {"role": "assistant"}}]
    for index, block in enumerate(answer.output.message.content):
        events += _block(index, block)
    if answer.stop_reason:
        events.append({"messageStop": {"stopReason": answer.stop_reason}})
        events.append({"metadata": {"usage": answer.usage}})
    return [msgspec.json.encode(event) for event in events]


def _block(index: int, block: _Object) -> list[_Object]:
    """Return the events of one block."""
    at = {"contentBlockIndex": index}
    if isinstance(tool := block.get("toolUse"), dict):
        began = {name: tool.get(name) for name in ("toolUseId", "name")}
        arguments = msgspec.json.encode(tool.get("input") or {}).decode()
        return [
            {"contentBlockStart": {**at, "start": {"toolUse": began}}},
            {"contentBlockDelta": {**at, "delta": {"toolUse": {"input": arguments}}}},
            {"contentBlockStop": at},
        ]
    if isinstance(reasoning := block.get("reasoningContent"), dict):
        shown = reasoning.get("reasoningText")
        delta: _Object = {"reasoningContent": shown if isinstance(shown, dict) else reasoning}
    elif isinstance(text := block.get("text"), str):
        delta = {"text": text}
    else:
        return []
    return [{"contentBlockDelta": {**at, "delta": delta}}]
