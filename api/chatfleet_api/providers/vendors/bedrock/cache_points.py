"""Cache control in chat completions, and documents, as cache points of Converse, for models with a prompt cache. Pure.

It changes no answer, so other dialects and models do without. A mark follows the part that ends the cached prefix, and
becomes the cache point when the conversation is translated.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.request import CHAT, ChatRequest, Message, TextPart
from chatfleet_api.providers.own_dialect import sent_in

MOST: Final = 4
"""Cache points of one request that Bedrock takes."""
_CACHING: Final = ("anthropic.claude", "amazon.nova")
"""In the names of models with a prompt cache."""
_FIELD: Final = "cache_control"
_MARK: Final = "\0cache point "
_TTLS: Final = ("5m", "1h")
_ROLES: Final = ("user", "assistant")
_INSTRUCTIONS: Final = ("system", "developer")

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class CachePoints:
    """Where the prefixes of one request end that a client wants to be cached."""

    def __init__(self, request: ChatRequest) -> None:
        """Find them; there are none in another dialect, or with a model without a cache."""
        sent = sent_in(CHAT, request)
        has_cache = any(name in request.model for name in _CACHING)
        body = _decode(sent.body) if sent and has_cache and _FIELD.encode() in bytes(sent.body) else {}
        self._left = MOST
        self.tools = self._tools(body.get("tools") or ())
        self.system: dict[str, Any] | None = None
        self._parts: list[tuple[int, int, dict[str, Any]]] = []
        messages = body.get("messages") or ()
        for position, message in enumerate(messages):
            if position == len(messages) - 1 and message.get("role") == "assistant":
                continue  # an answer that is to be continued ends with its text
            content = message.get("content")
            for index, part in enumerate(content if isinstance(content, list) else ()):
                self._part((position, index), message.get("role"), part)
        if request.caches_instructions and has_cache and self._left and self.system is None:
            self.system = _cache_point(None)

    @property
    def marks(self) -> dict[str, dict[str, Any]]:
        """Return the cache points by the texts that mark them."""
        return {_mark(point): point for *_, point in self._parts}

    def marked(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages with a mark after each part that ends a prefix."""
        changed = list(messages)
        for position, index, point in reversed(self._parts):
            content = changed[position].content
            if isinstance(content, list):
                parts = [*content[: index + 1], TextPart(_mark(point)), *content[index + 1 :]]
                changed[position] = replace(changed[position], content=parts)
        return changed

    def _part(self, place: tuple[int, int], role: object, part: object) -> None:
        point = _point(part) if self._left else None
        if point is None:
            return
        if role in _ROLES:
            self._parts.append((*place, point))
        elif role in _INSTRUCTIONS and self.system is None:  # they become one text
            self.system = point
        else:
            return
        self._left -= 1

    def _tools(self, tools: Sequence[object]) -> dict[int, dict[str, Any]]:
        points = {index: point for index, tool in enumerate(tools) if (point := _point(tool))}
        chosen = dict(list(points.items())[: self._left])
        self._left -= len(chosen)
        return chosen


def _mark(point: dict[str, Any]) -> str:
    return _MARK + str(point["cachePoint"].get("ttl", ""))


def _point(part: object) -> dict[str, Any] | None:
    control = part.get(_FIELD) if isinstance(part, dict) else None
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        return None
    return _cache_point(control.get("ttl"))


def _cache_point(ttl: object) -> dict[str, Any]:
    point = {"type": "default"}
    return {"cachePoint": point | {"ttl": ttl} if ttl in _TTLS else point}
