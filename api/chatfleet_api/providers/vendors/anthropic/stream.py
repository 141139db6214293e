"""Parses the answer of Anthropic's Messages API from the payloads of its stream. Pure.

https://platform.claude.com/docs/en/build-with-claude/streaming, which requires that unknown events are ignored.
"""

import json
from contextlib import suppress
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason, Reasoning, Signature, Token, ToolCall
from chatfleet_api.domain.request import RESPONSES, ChatRequest
from chatfleet_api.providers.finish_reasons import finish_reason
from chatfleet_api.providers.made_ids import made_id
from chatfleet_api.providers.own_dialect import sent_in
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.surrogates import Halves, halves_of, replaced
from chatfleet_api.providers.upstream_errors import clean, from_event
from chatfleet_api.providers.vendors.anthropic.events import (
    UNEXPECTED,
    Block,
    Event,
    EventDelta,
    decode,
    error_in,
    text_of,
    tolerated,
)
from chatfleet_api.providers.vendors.anthropic.usage import UsageCount

_TEXTS: Final = frozenset({"", "text", "text_delta"})
"""Types of deltas whose `content` is text; that of others may be a summary for the next request."""
_WITHOUT_ARGUMENTS: Final = frozenset({"", "text", "thinking"})
_MEDIA: Final = frozenset({"audio", "document", "image"})
"""Types of blocks that no dialect of ours has in an answer."""
_NO_DELTA: Final = EventDelta()


class _Call:
    """A tool call whose block has begun."""

    __slots__ = ("given", "id", "is_whole", "number", "silent")

    def __init__(self, number: int, block: Block) -> None:
        self.number = number
        self.id = block.id
        self.given = _given(block.input)
        """The input that came with the block's start. Anthropic's own is empty; pieces that follow go before it."""
        self.silent = True
        """Whether no piece of the arguments has come yet."""
        self.is_whole = False
        """Whether the block has stopped without a piece, so that `given` was all."""


class MessageParser:
    """Parses the events of one message, which is whole when `message_stop` comes after a reason to stop."""

    is_ending = is_holding = False  # since `message_stop` is the end

    def __init__(self, request: ChatRequest) -> None:
        self.done = False
        self._request = request
        self._is_signed = request.keeps_thoughts or sent_in(RESPONSES, request) is not None
        """Whether signatures can be given back."""
        self.pieces = 0
        self._halves: Halves | None = None
        """Joins split characters, from the first event on that has half of one."""
        self.has_begun = False
        self.left_out: set[str] = set()
        self._reason: FinishReason | None = None
        self._usage = UsageCount()
        self._calls: list[_Call] = []
        self._open: dict[int, _Call | None] = {}
        """From the number of a content block to its tool call; None: a block of another kind."""
        self._others: set[int] = set()
        """Numbers of blocks whose arguments are none of our calls', such as those of the server's own tools."""
        self._last = 0
        """Number of the block that began last, which an event without number is about."""

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one event brings."""
        try:
            event = decode(payload)
        except UNEXPECTED as error:
            event = tolerated(payload, error)
            self._halves = self._halves or halves_of(payload)
        before = len(items)
        if event.type == "content_block_delta":
            self._in_order()
            self._delta(event, items)
        elif event.type == "content_block_start":
            self._in_order()
            self._block(event, items)
        elif event.type == "content_block_stop":
            _complete(self._open.get(self._last if event.index is None else event.index), items)
        elif event.type == "message_start":
            self.has_begun = True
            self._usage.read(event.message.usage if event.message else None)
        elif event.type == "message_delta":
            self._in_order()
            self._usage.read(event.usage, is_end=True)
            self._stop(event.delta.stop_reason if event.delta else None)
        elif event.type == "message_stop":
            self._finish(items)
        elif event.type == "error":
            raise from_event(error_in(payload))
        if self._halves is not None:
            self._halves.join(items, before)
        self.pieces += len(items) - before

    def end(self) -> Finish:
        """Raise, since only `message_stop` ends a message."""
        raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the stream ended without message_stop")

    def _in_order(self) -> None:
        if not self.has_begun:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail="the stream does not begin with message_start")

    def _block(self, event: Event, items: list[StreamItem]) -> None:
        block = event.content_block or Block()
        index = self._last = len(self._open) if event.index is None else event.index
        known = self._open.get(index)
        if block.type == "tool_use":
            if known and block.id and known.id == block.id:
                known.given = _given(block.input) or known.given
                return
            call = self._open[index] = _Call(len(self._calls), block)
            self._calls.append(call)
            _complete(known, items)
            items.append(ToolCall(call.number, block.id or made_id(self._request, call.number), block.name))
            return
        self._open[index] = None
        if block.type not in _WITHOUT_ARGUMENTS:
            self._others.add(index)
        if block.type in _MEDIA:
            self.left_out.add(f"block of type {block.type}")
        _complete(known, items)
        if block.text:
            items.append(Token(block.text))
        elif block.thinking:
            items.append(Reasoning(block.thinking))
        elif block.data and self._is_signed:
            items.append(Reasoning("", signature=Signature(self._request.model, block.data, redacted=True)))

    def _delta(self, event: Event, items: list[StreamItem]) -> None:
        """Append what a delta holds, whatever its type: there are names of imitations, and of tomorrow."""
        delta = event.delta or _NO_DELTA
        if delta.thinking:
            items.append(Reasoning(delta.thinking))
        if text := delta.text or (delta.content and delta.type in _TEXTS and text_of(delta.content)):
            items.append(Reasoning(text) if delta.type == "thinking_delta" else Token(text))
        if delta.partial_json:
            self._argument(event.index, delta.partial_json, items)
        if delta.signature and self._is_signed:
            items.append(Reasoning("", signature=Signature(self._request.model, delta.signature)))

    def _argument(self, index: int | None, piece: str, items: list[StreamItem]) -> None:
        """Append a piece of arguments; one of no call's block belongs to the call that began last."""
        index = self._last if index is None else index
        if index in self._others:
            return
        call = self._open.get(index) or (self._calls[-1] if self._calls else None)
        if call is None:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail="arguments came without a tool call")
        if call.is_whole:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail="arguments came after the end of their tool call")
        call.silent = False
        items.append(ToolCall(call.number, arguments=piece))

    def _stop(self, reason: str | None) -> None:
        if not reason:
            return
        known = finish_reason(reason)
        if known is None:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail=f"the message stopped for {clean(reason)}")
        self._reason = known

    def _finish(self, items: list[StreamItem]) -> None:
        if self._reason is None:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the message stopped without a reason")
        for call in self._calls:
            _complete(call, items)
        self.done = True
        reason = "tool_calls" if self._calls and self._reason == "stop" else self._reason
        items.append(Finish(reason, self._usage.usage(self._request, self.pieces)))


def _complete(call: _Call | None, items: list[StreamItem]) -> None:
    """Append the arguments of a call that had no pieces: OpenAI's callers are used to JSON, even for nothing."""
    if call is not None and call.silent:
        call.silent, call.is_whole = False, True
        items.append(ToolCall(call.number, arguments=call.given or "{}"))


def _given(raw: msgspec.Raw) -> str:
    """Return the arguments in a block's `input`, which may be JSON in a string; nothing when it is empty."""
    text = bytes(raw).decode("utf-8", "replace").strip()
    if text.startswith('"'):
        with suppress(ValueError):
            text = replaced(text_of(json.loads(text, strict=False))).strip()
    return "" if text in ("", "null", "{}") else text
