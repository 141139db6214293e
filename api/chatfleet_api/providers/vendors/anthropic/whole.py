"""A message of Anthropic that came as one JSON document, as the payloads of a stream. Pure.

https://platform.claude.com/docs/en/api/messages. The parser also reads blocks that begin with all they have.
"""

from typing import Final, TypeAlias

import msgspec

from chatfleet_api.providers.whole import decoder

_NULL: Final = msgspec.Raw(b"null")
_Event: TypeAlias = dict[str, object]


class _Message(msgspec.Struct):
    type: str = ""
    content: list[msgspec.Raw] | str | None = None
    stop_reason: msgspec.Raw = _NULL
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_decode = decoder(_Message)


def events_of(document: bytes) -> list[bytes]:
    """Return the events of the whole message, or of the error that came in its place; raise `ChatError` if neither."""
    message = _decode(document)
    if message.type == "error" or message.error != _NULL:
        return [document]
    events: list[_Event] = [{"type": "message_start", "message": {"usage": message.usage}}]
    content = message.content or []
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for index, block in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": message.stop_reason}, "usage": message.usage})
    events.append({"type": "message_stop"})
    return [msgspec.json.encode(event) for event in events]
