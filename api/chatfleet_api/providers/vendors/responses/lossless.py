"""Parses a response for a client of the same API: nothing of it is left out. Pure.

Every event with more in it than the next piece of the same text becomes the `extra` of an `Extended`, whole. The
response of the last event comes with the `Finish`. The events at its beginning are left out: clients get ours. So are
the numbers of the events, which are ours, and padding.
"""

import json
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.domain.events import Extended, FinishReason, Piece, Token
from chatfleet_api.domain.request import RESPONSES, ChatRequest
from chatfleet_api.providers.early_events import EarlyEvents
from chatfleet_api.providers.own_dialect import sent_in
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.vendors.responses.events import Response
from chatfleet_api.providers.vendors.responses.stream import INCOMPLETE, ResponseParser

Fields: TypeAlias = dict[str, Any]

_TEXT: Final = "response.output_text.delta"
_LEFT_OUT: Final = frozenset({"response.created", "response.in_progress", "response.queued", "error", ""})
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_STARTS: Final = frozenset(
    {"response.output_item.added", "response.content_part.added", "response.reasoning_summary_part.added"}
)
_STARTS_EMPTY: Final = frozenset({"message", "reasoning"})
_OURS: Final = frozenset({"sequence_number", "obfuscation"})
_WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Delta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A piece of text with nothing beside it."""

    type: Literal["response.output_text.delta"]
    delta: str
    item_id: str
    output_index: int
    content_index: int
    sequence_number: msgspec.Raw = msgspec.Raw()
    logprobs: tuple[()] | None = None
    obfuscation: str = ""


_plain: Final = msgspec.json.Decoder(_Delta).decode


def parser(request: ChatRequest) -> ResponseParser:
    """Return the parser of the answer to `request`."""
    return LosslessParser(request) if sent_in(RESPONSES, request) else ResponseParser(request)


class LosslessParser(ResponseParser):
    """Parses the events of one response without loss."""

    def __init__(self, request: ChatRequest) -> None:
        super().__init__(request)
        self._early = EarlyEvents()
        self._place: tuple[str, int, int] | None = None
        """The part of a text that the newest piece belongs to."""
        self._items: dict[int, Fields] = {}
        """Items that are whole."""

    @override
    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one event brings."""
        if self._place is not None and self._halves is None and (text := self._continued(payload)):
            items.append(Token(text))
            self.pieces += 1
            return
        news: list[StreamItem] = []
        try:
            super().read(payload, news)
        finally:  # an answer that fails keeps its items
            self.left_out.clear()
            self._add(_decoded(payload), news, items)

    @override
    def _reason(self, response: Response) -> FinishReason:
        """Return why the response is incomplete; of a reason that only this API has, its client gets the word."""
        word = response.incomplete_details.reason if response.incomplete_details else None
        return INCOMPLETE.get(word, "length") if word else super()._reason(response)

    def _continued(self, payload: bytes) -> str | None:
        """Return the text of an event that continues the part before."""
        try:
            event = _plain(payload)
        except _WRONG:
            return None
        return event.delta if (event.item_id, event.output_index, event.content_index) == self._place else None

    def _add(self, event: Fields, news: list[StreamItem], items: list[StreamItem]) -> None:
        kind = event.get("type", "")
        ends = [replace(item, extra=self._end_fields(event)) for item in news if isinstance(item, Finish)]
        pieces: tuple[Piece, ...] = tuple(item for item in news if not isinstance(item, Finish | Extended))
        is_content = bool(pieces) or (kind.startswith("response.") and not self._only_begins(event))
        self._early.release(items, is_content=is_content, ends=bool(ends))
        if kind in _LEFT_OUT or kind in _ENDS:
            items += [*pieces, *ends]
            return
        self._note(event)
        fields = {name: value for name, value in event.items() if name not in _OURS}
        if self._halves is None:
            self._early.append(Extended(_raw(fields), pieces), items)
            return
        if kind == _TEXT:  # its pieces are joined, and follow an event that names their place
            fields["delta"] = ""
        self._early.append(Extended(_raw(fields)), items)
        items += pieces

    def _only_begins(self, event: Fields) -> bool:
        kind = event["type"]
        if kind in _LEFT_OUT or kind in _ENDS:
            return True
        if kind != "response.output_item.added":
            return kind in _STARTS
        item = event.get("item")
        return isinstance(item, dict) and item.get("type") in _STARTS_EMPTY

    def _note(self, event: Fields) -> None:
        """Remember the place of a piece of text, and an item that is whole."""
        kind = event["type"]
        if kind == _TEXT:
            place = (event.get("item_id"), event.get("output_index"), event.get("content_index"))
            is_known = isinstance(place[0], str) and isinstance(place[1], int) and isinstance(place[2], int)
            self._place = (str(place[0]), int(place[1] or 0), int(place[2] or 0)) if is_known else None
        elif kind == "response.output_item.done" and isinstance(event.get("item"), dict):
            index = event.get("output_index")
            self._items[index if isinstance(index, int) else len(self._items)] = event["item"]

    def _end_fields(self, event: Fields) -> Fields:
        """Return what comes with the end: the whole response, also its output where the upstream left that out."""
        response = event.get("response")
        fields: Fields = dict(response) if isinstance(response, dict) else {}
        if not fields.get("output") and self._items:
            fields["output"] = [item for _, item in sorted(self._items.items())]
        return {"response": fields}


def _decoded(payload: bytes) -> Fields:
    """Return the event; an empty one for what is none."""
    try:
        event = msgspec.json.decode(payload)
    except _WRONG:
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
