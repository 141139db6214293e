"""A message of Anthropic that came as one JSON document, as the payloads of a stream. Pure.

https://platform.claude.com/docs/en/api/messages. The parser also reads blocks that begin with all they have.
"""

from typing import Final, TypeAlias

import msgspec

from chatfleet_api.providers.whole import decoder

_NULL: Final = msgspec.Raw(b"null")
_Event: TypeAlias = dict[str, object]
_AT_THE_END: Final = ("stop_reason", "stop_sequence", "stop_details", "container")
"""Fields of a message that a stream has in its `message_delta`."""


class _Message(msgspec.Struct):
    type: str = ""
    content: list[msgspec.Raw] | str | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_decode = decoder(_Message)
_fields = decoder(dict[str, msgspec.Raw])


def events_of(document: bytes) -> list[bytes]:
    """Return the events of the whole message, or of the error that came in its place; raise `ChatError` if neither."""
    message = _decode(document)
    if message.type == "error" or message.error != _NULL:
        return [document]
    fields = _fields(document)
    end = {name: fields.pop(name) for name in _AT_THE_END if name in fields}
    started: _Event = {**fields, "content": [], "stop_reason": None, "stop_sequence": None}
    events: list[_Event] = [{"type": "message_start", "message": started}]
    content = message.content or []
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for index, block in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": end, "usage": message.usage})
    events.append({"type": "message_stop"})
    return [msgspec.json.encode(event) for event in events]
