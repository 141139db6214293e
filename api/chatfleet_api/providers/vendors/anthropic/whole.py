"""A message of Anthropic that came as one JSON document, as the payloads of a stream. Pure.

https://platform.claude.com/docs/en/api/messages. Blocks are unfolded into the deltas that would have brought them.
"""

from typing import TypeAlias

import msgspec

from chatfleet_api.providers.whole import decoder

_ABSENT = msgspec.Raw(b"null")
_Event: TypeAlias = dict[str, object]


class _Block(msgspec.Struct):
    type: str = ""
    text: msgspec.Raw = _ABSENT
    thinking: msgspec.Raw = _ABSENT
    id: msgspec.Raw = _ABSENT
    name: msgspec.Raw = _ABSENT
    input: msgspec.Raw = _ABSENT


class _Message(msgspec.Struct):
    type: str = ""
    content: list[_Block] | None = None
    stop_reason: msgspec.Raw = _ABSENT
    usage: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT


_decode = decoder(_Message)


def events_of(document: bytes) -> list[bytes]:
    """Return the events of the whole message, or of the error that came in its place; raise `ChatError` if neither."""
    message = _decode(document)
    if message.type == "error":
        return [document]
    if message.error != _ABSENT:
        return [msgspec.json.encode({"type": "error", "error": message.error})]
    events: list[_Event] = [{"type": "message_start", "message": {"usage": message.usage}}]
    for index, block in enumerate(message.content or ()):
        events += _events(index, block)
    events.append({"type": "message_delta", "delta": {"stop_reason": message.stop_reason}, "usage": message.usage})
    events.append({"type": "message_stop"})
    return [msgspec.json.encode(event) for event in events]


def _events(index: int, block: _Block) -> list[_Event]:
    start: _Event = {"type": block.type}
    delta: _Event = {}
    if block.type == "tool_use":
        start |= {"id": block.id, "name": block.name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": bytes(block.input).decode()}
    elif block.type == "thinking":
        delta = {"type": "thinking_delta", "thinking": block.thinking}
    elif block.type == "text":
        delta = {"type": "text_delta", "text": block.text}
    deltas: list[_Event] = [{"type": "content_block_delta", "index": index, "delta": delta}] if delta else []
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *deltas,
        {"type": "content_block_stop", "index": index},
    ]
