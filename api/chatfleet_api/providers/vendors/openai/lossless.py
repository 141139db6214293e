"""Parses a chat completion for a client that speaks the same dialect: nothing of it is left out. Pure.

What a chunk has beside the common terms becomes the `extra` of an `Extended`: the same chunk, with nothing else in it.
Its `choices[0].delta` holds what belongs to the message, and takes the place of equal fields. Ids, times and the name
of the model are ours; usage and finish reason come with the `Finish`; padding is dropped.
"""

import json
from collections.abc import Collection
from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.domain.events import Extended, Piece, Reasoning, Token
from chatfleet_api.domain.request import CHAT, ChatRequest
from chatfleet_api.providers.own_dialect import sent_in
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.vendors.openai.stream import CompletionParser
from chatfleet_api.providers.vendors.openai.template import Template, plain_item, unpadded

Fields: TypeAlias = dict[str, Any]

_OURS: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "error", "obfuscation"})
_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "text"})
_DELTA: Final = frozenset({"role", "content", "tool_calls", "reasoning_content", "reasoning", "function_call"})
_CALL: Final = frozenset({"index", "id", "type", "function"})
_FUNCTION: Final = frozenset({"name", "arguments"})
_EXTRA: Final = frozenset({"audio", "images"})
_ABSENT: Final = object()

MAX_MISSES: Final = 8
"""Chunks in a row that fit no template, after which none is made any more: each of them has an id of its own."""


def parser(request: ChatRequest) -> CompletionParser:
    """Return the parser of the answer to `request`."""
    return LosslessParser(request) if sent_in(CHAT, request) else CompletionParser(request)


class LosslessParser(CompletionParser):
    """Parses the chunks of one chat completion without loss."""

    __slots__ = (
        "_has_content",
        "_held",
        "_is_padded",
        "_misses",
        "_old_form",
        "_template",
        "_top",
        "_usage_fields",
        "_word",
    )

    def __init__(self, request: ChatRequest) -> None:
        super().__init__(request)
        self._other_name = "reasoning"
        self._template: Template | None = None
        self._misses = 0
        self._is_padded = False
        self._old_form = request.sent is not None and b'"functions"' in bytes(request.sent.body)
        """Whether the client knows the old form of tool calls."""
        self._held: list[Extended] = []
        """What came before the first content: the answer has not begun with it."""
        self._has_content = False
        self._top: Fields = {}
        """The newest values of the fields beside `choices`, which most upstreams repeat with each chunk."""
        self._usage_fields: Fields | None = None
        self._word: str | None = None
        """The finish reason in the upstream's word, if the client knows it."""

    @property
    @override
    def left_out(self) -> Collection[str]:
        return frozenset(super().left_out) - _EXTRA

    @override
    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one chunk brings."""
        if self._is_padded:
            payload = unpadded(payload)
        if self._has_content and self._halves is None and (item := self._plain(payload)):
            items.append(item)
            self.pieces += 1
            return
        fields = _decoded(payload)
        if fields is None:  # the mark of the end, or what is no chunk
            super().read(payload, items)
            return
        self._is_padded = self._is_padded or "obfuscation" in fields
        choice = _choice(fields)
        extra, common = self._beside(fields), payload
        if choice is not None and (moved := self._in_their_own_form(choice)):
            extra["choices"] = [moved]
            common = _encoded(fields)
        news: list[StreamItem] = []
        try:
            super().read(common, news)
        finally:  # an answer that fails keeps its items
            if choice is not None:
                self._add_to_calls(extra, choice)
            self._append_extended(payload, extra, news, items)

    def _plain(self, payload: bytes) -> Token | Reasoning | Extended | None:
        """Return what a chunk brings that has a text, and else what was known before; None: look closer."""
        if self._template is not None and (item := self._template.item(payload)):
            self._misses = 0
            return item
        self._misses += 1
        return plain_item(payload, self._top) if self._misses > MAX_MISSES else None

    @override
    def end(self) -> Finish:
        """Return the finish, with the upstream's own usage."""
        extra: Fields = {} if self._usage_fields is None else {"usage": self._usage_fields}
        if self._word:
            extra["finish_reason"] = self._word
        return replace(super().end(), extra=extra or None)

    def _beside(self, fields: Fields) -> Fields:
        """Return what a chunk has beside its choices, and has not had before."""
        if isinstance(usage := fields.get("usage"), dict) and usage:
            self._usage_fields = usage
        top = {name: value for name, value in fields.items() if name not in _OURS and value is not None}
        news = {name: value for name, value in top.items() if self._top.get(name, _ABSENT) != value}
        if news:
            self._top |= news
            self._template = None
        return news

    def _in_their_own_form(self, choice: Fields) -> Fields:
        """Return what a choice has beside the common terms; take out what these have in another form."""
        moved = {name: value for name, value in choice.items() if name not in _CHOICE and value is not None}
        if choice.get("finish_reason") == "function_call" and self._old_form:
            self._word = "function_call"
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return moved
        more = {name: value for name, value in delta.items() if name not in _DELTA and value is not None}
        if delta.get("reasoning_content") and delta.get("reasoning"):
            more["reasoning"] = delta["reasoning"]
        if "refusal" in more and isinstance(more["refusal"], str):
            del delta["refusal"]
        if delta.get("function_call") and self._old_form:
            more["function_call"] = delta.pop("function_call")
        if isinstance(calls := delta.get("tool_calls"), list) and (others := list(filter(_is_other, calls))):
            delta["tool_calls"] = [call for call in calls if not _is_other(call)]
            more["tool_calls"] = [{**call, "index": self._calls.reserved(call.get("index"))} for call in others]
        return {**moved, "delta": more} if more else moved

    def _append_extended(self, payload: bytes, extra: Fields, news: list[StreamItem], items: list[StreamItem]) -> None:
        """Append the items in the common terms, together with `extra`."""
        pieces: tuple[Piece, ...] = tuple(item for item in news if not isinstance(item, Finish | Extended))
        ends = [item for item in news if isinstance(item, Finish)]
        has_content = bool(pieces or any(choice.get("delta") for choice in extra.get("choices", ())))
        if self._held and (has_content or ends):
            items += self._held
            self._held = []
        self._has_content = self._has_content or has_content
        if not extra:
            items += news
        else:
            self.pieces += has_content and not pieces
            together = self._halves is None
            extended = Extended(_raw(extra), pieces if together else ())
            (items if self._has_content or ends else self._held).append(extended)
            items += ends if together else news
        if self._halves is None and len(pieces) == 1 and not ends and self._misses <= MAX_MISSES:
            lasting = extra.get("choices")
            self._template = Template.of(payload, pieces[0], _raw({"choices": lasting}) if lasting else None)

    def _add_to_calls(self, extra: Fields, choice: Fields) -> None:
        """Add to `extra` what pieces of tool calls have beside the common terms, by the numbers that clients get."""
        delta = choice.get("delta")
        calls = delta.get("tool_calls") if isinstance(delta, dict) else None
        more = [found for call in calls if (found := self._beside_call(call))] if isinstance(calls, list) else []
        if more:
            (first, *_) = extra.setdefault("choices", [{}])
            own = first.setdefault("delta", {})
            own["tool_calls"] = [*own.get("tool_calls", ()), *more]

    def _beside_call(self, call: object) -> Fields | None:
        if not isinstance(call, dict):
            return None
        more = {name: value for name, value in call.items() if name not in _CALL and value is not None}
        if isinstance(function := call.get("function"), dict):
            inner = {name: value for name, value in function.items() if name not in _FUNCTION and value is not None}
            more |= {"function": inner} if inner else {}
        return {"index": self._calls.number(call.get("id"), call.get("index")), **more} if more else None


def _choice(fields: Fields) -> Fields | None:
    """Return the answer in a chunk, in which a whole message becomes a delta."""
    choices = fields.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return None
    if isinstance(message := choice.get("message"), dict) and not choice.get("delta"):
        del choice["message"]
        choice["delta"] = message
    return choice


def _is_other(call: object) -> bool:
    """Return whether a piece belongs to a call of something else than a function."""
    return isinstance(call, dict) and ("custom" in call or call.get("type") not in (None, "", "function"))


def _decoded(payload: bytes) -> Fields | None:
    try:
        fields = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            fields = json.loads(payload.decode("utf-8-sig", "replace"), strict=False)
        except (ValueError, RecursionError):
            return None
    return fields if isinstance(fields, dict) else None


def _encoded(fields: Fields) -> bytes:
    """Return JSON, in which halves of characters stay as they were."""
    try:
        return msgspec.json.encode(fields)
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return json.dumps(fields).encode()


def _raw(fields: Fields) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(fields))
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return msgspec.Raw(replaced(json.dumps(fields, ensure_ascii=False)).encode())
