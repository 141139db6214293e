"""A response that came as one JSON document, as the payloads of a stream. Pure.

Each item is whole; the last event has the usage.
"""

from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.whole import decoder

_NULL: Final = msgspec.Raw(b"null")
_ENDS: Final = frozenset({"completed", "incomplete", "failed"})


class _Response(msgspec.Struct):
    type: str = ""
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    error: msgspec.Raw = _NULL


_decode = decoder(_Response)


def events_of(document: bytes) -> list[bytes]:
    """Return the events of the whole response, or of the error that came in its place; raise `ChatError` if neither."""
    response = _decode(document)
    if response.status in _ENDS:
        events: list[dict[str, object]] = [
            {"type": "response.output_item.done", "output_index": index, "item": item}
            for index, item in enumerate(response.output or ())
        ]
        events.append({"type": f"response.{response.status}", "response": msgspec.Raw(document)})
        return [msgspec.json.encode(event) for event in events]
    if response.type == "error" or response.error != _NULL:
        return [document]
    raise ChatError(Code.UPSTREAM_TRUNCATED, detail=f"the response has the status {response.status}")
