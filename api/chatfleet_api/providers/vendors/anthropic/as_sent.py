"""The request of a client of Anthropic's Messages API, for Anthropic itself: as it was sent. Pure.

Changed are the model's name, the stream, and the sampling parameters of the catalogue that the request does not set,
which only the older version of the API has. Thinking without a signature, which no model of Anthropic's has written, is
left out.
"""

from typing import Any, Final

import msgspec

from chatfleet_api.domain.request import ChatRequest, Sent
from chatfleet_contract.spec.providers import Compatibility

_VERSION: Final = "anthropic-version"
_PASSED_ON: Final = (_VERSION, "anthropic-beta")
_UNSIGNED: Final = b'"signature":""'
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_messages: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode
_objects: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def headers(sent: Sent) -> dict[str, str]:
    """Return the client's version of the API, and its beta features."""
    return {name: sent.headers[name] for name in _PASSED_ON if name in sent.headers}


def body(request: ChatRequest, sent: Sent, compatibility: Compatibility, *, sampling_version: str) -> bytes:
    """Return the request, each field as it was sent."""
    fields: dict[str, Any] = dict(_fields(sent.body))
    if _UNSIGNED in bytes(sent.body).replace(b'": "', b'":"'):
        fields["messages"] = [_signed(message) for message in _messages(fields["messages"])]
    if added := request.messages[sent.messages :]:
        own = fields["messages"]
        fields["messages"] = [*(own if isinstance(own, list) else _objects(own)), *added]
    if sent.headers.get(_VERSION) == sampling_version:
        for name in ("temperature", "top_p"):
            if getattr(request, name) is not None:
                fields.setdefault(name, getattr(request, name))
    return msgspec.json.encode(fields | {"model": request.model, "stream": compatibility.stream})


def count_body(request: ChatRequest, sent: Sent) -> bytes:
    """Return the request for a count of tokens, each field as it was sent."""
    return msgspec.json.encode(dict(_fields(sent.body)) | {"model": request.model})


def _signed(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    kept = [block for block in content if not (isinstance(block, dict) and _is_unsigned(block))]
    return {**message, "content": kept}


def _is_unsigned(block: dict[str, Any]) -> bool:
    return block.get("type") == "thinking" and not block.get("signature")
