"""Parses a chat completion for a client that speaks the same dialect: nothing of it is left out. Pure.

What a chunk has beside the common terms becomes the `extra` of an `Extended`: the same chunk, with nothing else in it.
Its `choices[0].delta` holds what belongs to the message, and takes the place of equal fields. Ids, times and the name
of the model are ours; usage and finish reason come with the `Finish`; padding is dropped.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from typing_extensions import override

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Extended, Piece
from chatfleet_api.domain.request import CHAT, ChatRequest
from chatfleet_api.providers.own_dialect import sent_in
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.vendors.openai.beside import (
    Fields,
    OtherChoices,
    add_to_calls,
    first_choice,
    in_their_own_form,
)
from chatfleet_api.providers.vendors.openai.logprobs import LogprobsParser
from chatfleet_api.providers.vendors.openai.stream import CompletionParser
from chatfleet_api.providers.vendors.openai.template import CALLS, Template, has_calls_alone, plain_item, unpadded

_OURS: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "error", "obfuscation"})
_EXTRA: Final = frozenset({"audio", "images"})
_ABSENT: Final = object()

MAX_MISSES: Final = 8
"""Chunks in a row that fit no template, after which none is made any more: each of them has an id of its own."""


class _Requested(msgspec.Struct):
    """What the answer depends on."""

    n: int | None = None
    functions: Any = None


_requested: Final = msgspec.json.Decoder(_Requested).decode


def parser(request: ChatRequest) -> CompletionParser:
    """Return the parser of the answer to `request`."""
    if sent_in(CHAT, request):
        return LosslessParser(request)
    return LogprobsParser(request) if request.logprobs else CompletionParser(request)


class LosslessParser(CompletionParser):
    """Parses the chunks of one chat completion without loss."""

    __slots__ = (
        "_has_content",
        "_held",
        "_is_padded",
        "_is_single",
        "_misses",
        "_old_form",
        "_others",
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
        requested = _Requested() if request.sent is None else _requested(request.sent.body)
        self._old_form = requested.functions is not None
        """Whether the client knows the old form of tool calls."""
        self._others = OtherChoices(requested.n or 1)
        self._is_single = not self._others
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
        if self._has_content and self._is_single and CALLS in payload and has_calls_alone(payload, self._top):
            before = len(items)
            super().read(payload, items)
            self._learn(payload, items[before:], None)
            return
        fields = _decoded(payload)
        if fields is None:  # the mark of the end, or what is no chunk
            ends: list[StreamItem] = []
            super().read(payload, ends)
            items += [*self._held, *ends]
            return
        self._is_padded = self._is_padded or "obfuscation" in fields
        others = [] if self._is_single else self._others.taken_from(fields)
        choice = first_choice(fields)
        extra, common = self._beside(fields), payload
        moved = {} if choice is None else in_their_own_form(choice, self._calls, old_form=self._old_form)
        if moved or others:
            extra["choices"] = [moved, *others]
            common = _encoded(fields)
        news: list[StreamItem] = []
        try:
            super().read(common, news)
        finally:  # an answer that fails keeps its items
            if choice is not None:
                add_to_calls(extra, choice, self._calls)
                self._keep_word(choice)
            self._append_extended(payload, extra, news, items)

    def _plain(self, payload: bytes) -> Piece | Extended | None:
        """Return what a chunk brings that has a text, and else what was known before; None: look closer."""
        if self._template is not None and (item := self._template.item(payload)):
            self._misses = 0
            return item
        if CALLS in payload:
            return None
        self._misses += 1
        return plain_item(payload, self._top) if self._misses > MAX_MISSES and self._is_single else None

    @property
    @override
    def is_ending(self) -> bool:
        return super().is_ending and not self._others

    @override
    def end(self) -> Finish:
        """Return the finish, with the upstream's own usage."""
        if self._others.are_open:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the stream ended without a finish_reason of each choice")
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

    def _keep_word(self, choice: Fields) -> None:
        if choice.get("finish_reason") == "function_call" and self._old_form:
            self._word = "function_call"

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
        if not ends:
            lasting = extra.get("choices")
            self._learn(payload, pieces, _raw({"choices": lasting}) if lasting else None)

    def _learn(self, payload: bytes, pieces: Sequence[StreamItem], extra: msgspec.Raw | None) -> None:
        """Keep a chunk with one piece as the template of the next ones."""
        if self._halves is not None or len(pieces) != 1 or self._misses > MAX_MISSES:
            return
        (piece,) = pieces
        if not isinstance(piece, Finish | Extended):
            self._template = Template.of(payload, piece, extra, self._calls)


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
