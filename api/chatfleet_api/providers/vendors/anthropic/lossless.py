"""Parses a message for a client that speaks the same dialect: nothing of it is left out. Pure.

Every event with more in it than a text, a thought or a piece of arguments becomes the `extra` of an `Extended`, whole.
What `message_delta` has comes with the `Finish`. Pings are left out: clients get ours.
"""

import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.domain.events import Extended, Piece, Token, ToolCall
from chatfleet_api.domain.request import MESSAGES, ChatRequest
from chatfleet_api.providers.early_events import EarlyEvents
from chatfleet_api.providers.own_dialect import sent_in
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.vendors.anthropic.stream import MessageParser

Fields: TypeAlias = dict[str, Any]

_PLAIN: Final = (("text_delta", "text"), ("thinking_delta", "thinking"), ("input_json_delta", "partial_json"))
"""Deltas that the common terms have."""
_STARTS_EMPTY: Final = frozenset({"text", "thinking"})
_LEFT_OUT: Final = frozenset({"ping", "message_stop", "message_delta", "error", ""})
_WHOLE: Final = frozenset({"pause_turn", "compaction"})
"""Reasons to stop that only this dialect has: the answer is whole, and its client has to go on."""
_STEMS: Final = MappingProxyType({kind: f'"delta":{{"type":"{kind}","{name}":"'.encode() for kind, name in _PLAIN})
_string: Final = msgspec.json.Decoder(str).decode
_WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError)


def parser(request: ChatRequest) -> MessageParser:
    """Return the parser of the answer to `request`."""
    return LosslessParser(request) if sent_in(MESSAGES, request) else MessageParser(request)


class LosslessParser(MessageParser):
    """Parses the events of one message without loss."""

    def __init__(self, request: ChatRequest) -> None:
        super().__init__(request)
        self._early = EarlyEvents()
        self._end_fields: Fields = {}
        self._before = self._after = b""
        """What stands around the text in most events of the block."""
        self._make: Callable[[str], Piece] = Token
        """Makes a piece of such a text."""

    @override
    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one event brings."""
        if self._before and self._halves is None and payload.startswith(self._before):
            text = self._text(payload)
            if text:
                items.append(self._make(text))
                self.pieces += 1
                return
        news: list[StreamItem] = []
        try:
            super().read(payload, news)
        finally:  # an answer that fails keeps its items
            self._add(_decoded(payload), payload, news, items)

    @override
    def _stop(self, reason: str | None) -> None:
        super()._stop("end_turn" if reason in _WHOLE else reason)

    def _text(self, payload: bytes) -> str | None:
        """Return the text of an event that is like the one before."""
        if not payload.endswith(self._after):
            return None
        try:
            return _string(payload[len(self._before) - 1 : len(payload) - len(self._after) + 1])
        except _WRONG:
            return None

    def _add(self, event: Fields, payload: bytes, news: list[StreamItem], items: list[StreamItem]) -> None:
        kind = event.get("type", "")
        ends = [replace(item, extra=self._end_fields) for item in news if isinstance(item, Finish)]
        pieces: tuple[Piece, ...] = tuple(item for item in news if not isinstance(item, Finish | Extended))
        if kind == "message_delta":
            self._end(event)
        if kind in ("content_block_start", "content_block_stop"):
            self._before = b""
        is_plain = kind == "content_block_delta" and self._is_plain(event) and bool(pieces or self._halves)
        self._early.release(items, is_content=bool(pieces) or _is_content(event), ends=bool(ends))
        if is_plain or kind in _LEFT_OUT:
            items += [*pieces, *ends]
            if is_plain and len(pieces) == 1:
                self._learn(payload, event["delta"]["type"], pieces[0])
            return
        self._early.append(Extended(_raw(self._numbered(event, pieces)), pieces), items)
        items += ends

    def _end(self, event: Fields) -> None:
        """Keep what a `message_delta` has; a later one completes it."""
        for name, value in event.items():
            known = self._end_fields.get(name)
            both = isinstance(known, dict) and isinstance(value, dict)
            self._end_fields[name] = {**known, **value} if both else value  # type: ignore[dict-item]

    def _is_plain(self, event: Fields) -> bool:
        """Return whether a delta has no more than the common terms, and is of the block that is open."""
        delta = event.get("delta")
        if not isinstance(delta, dict) or event.keys() != {"type", "index", "delta"} or event["index"] != self._last:
            return False
        return any(delta.keys() == {"type", name} and delta["type"] == kind for kind, name in _PLAIN)

    def _learn(self, payload: bytes, kind: str, piece: Piece) -> None:
        """Keep an event as the template of the next ones in its block."""
        start = payload.find(_STEMS[kind])
        if start < 0 or not payload.endswith(b'"}}'):
            return
        self._before, self._after = payload[: start + len(_STEMS[kind])], b'"}}'
        if isinstance(piece, ToolCall):
            number = piece.index
            self._make = lambda text: ToolCall(number, arguments=text)
        else:
            self._make = type(piece)

    def _numbered(self, event: Fields, pieces: tuple[Piece, ...]) -> Fields:
        """Return an event with the number and the id that imitations leave out."""
        kind = event.get("type", "")
        if kind.startswith("content_block_") and event.get("index") is None:
            event["index"] = self._last
        block = event.get("content_block")
        if isinstance(block, dict) and block.get("type") == "tool_use" and not block.get("id"):
            made = next((piece.id for piece in pieces if isinstance(piece, ToolCall) and piece.id), None)
            block["id"] = made
        return event


def _is_content(event: Fields) -> bool:
    if event.get("type") != "content_block_start":
        return False
    block = event.get("content_block")
    return isinstance(block, dict) and block.get("type") not in _STARTS_EMPTY


def _decoded(payload: bytes) -> Fields:
    """Return the event; an empty one for what is none."""
    try:
        event = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            event = json.loads(payload.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            return {}
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else {}


def _raw(event: Fields) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(event))
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return msgspec.Raw(replaced(json.dumps(event, ensure_ascii=False)).encode())
