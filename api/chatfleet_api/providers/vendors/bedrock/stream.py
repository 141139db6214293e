"""Parses the answer of Bedrock's ConverseStream from the payloads of its frames. Pure.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html. `messageStop` has the reason;
the usage comes after it, in `metadata`, which ends the answer.
"""

from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason, Reasoning, Signature, Token, ToolCall
from chatfleet_api.domain.request import RESPONSES, ChatRequest
from chatfleet_api.providers.finish_reasons import finish_reason
from chatfleet_api.providers.made_ids import made_id
from chatfleet_api.providers.own_dialect import sent_in
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.surrogates import Halves, halves_of
from chatfleet_api.providers.upstream_errors import clean
from chatfleet_api.providers.vendors.bedrock.errors import exception_in
from chatfleet_api.providers.vendors.bedrock.events import (
    UNEXPECTED,
    Content,
    Delta,
    Event,
    Metadata,
    ReasoningDelta,
    decode,
    malformed,
    name_of,
    tolerated,
)
from chatfleet_api.providers.vendors.bedrock.usage import usage_of

_NO_DELTA: Final = Delta()


class _Call:
    """A tool call whose block has begun."""

    __slots__ = ("number", "silent")

    def __init__(self, number: int) -> None:
        self.number = number
        self.silent = True
        """Whether no piece of the arguments has come yet."""


class ConverseParser:
    """Parses the events of one answer, which is whole when `messageStop` had a reason."""

    is_holding = False

    def __init__(self, request: ChatRequest) -> None:
        self.done = False
        self.has_begun = False
        self.pieces = 0
        self.left_out: set[str] = set()
        self._request = request
        self._is_signed = sent_in(RESPONSES, request) is not None
        """Whether the client can give signatures back."""
        self._halves: Halves | None = None
        """Joins split characters, from the first event on that has half of one."""
        self._reason: FinishReason | None = None
        self._calls: dict[int, _Call] = {}
        """By the number of their content block."""

    @property
    def is_ending(self) -> bool:
        """Whether only the usage may still come."""
        return self._reason is not None

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one event brings."""
        try:
            event = decode(payload)
        except UNEXPECTED:
            event = tolerated(payload)
            self._halves = self._halves or halves_of(payload)
        before = len(items)
        if event.content_block_delta is not None:
            self._delta(event.content_block_delta, items)
        else:
            self._other(event, payload, items)
        if self._halves is not None:
            self._halves.join(items, before)
        self.pieces += len(items) - before

    def end(self) -> Finish:
        """Return the finish of an answer whose usage did not come, if it is whole."""
        if self._reason is None:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the stream ended without messageStop")
        return self._finish(None)

    def _other(self, event: Event, payload: bytes, items: list[StreamItem]) -> None:
        if event.content_block_start is not None:
            self._start(event.content_block_start, items)
        elif event.content_block_stop is not None:
            if call := self._calls.get(event.content_block_stop.content_block_index):
                _complete(call, items)
        elif event.message_stop is not None:
            self._stop(event.message_stop.stop_reason, items)
        elif event.metadata is not None:
            self._count(event.metadata, items)
        elif event.message_start:
            self.has_begun = True
        elif failure := exception_in(payload):
            raise failure

    def _in_order(self) -> None:
        if not self.has_begun:
            raise malformed("the stream does not begin with messageStart")

    def _start(self, content: Content, items: list[StreamItem]) -> None:
        self._in_order()
        tool = content.start.tool_use if content.start else None
        if tool is not None:
            call = self._calls[content.content_block_index] = _Call(len(self._calls))
            ident = name_of(tool.tool_use_id) or made_id(self._request, call.number)
            items.append(ToolCall(call.number, ident, name_of(tool.name)))

    def _delta(self, content: Content, items: list[StreamItem]) -> None:
        self._in_order()
        delta = content.delta or _NO_DELTA
        if delta.text:
            items.append(Token(delta.text))
        elif delta.tool_use is not None and delta.tool_use.input:
            call = self._calls.get(content.content_block_index)
            if call is None:
                raise malformed("arguments came without a tool call")
            call.silent = False
            items.append(ToolCall(call.number, arguments=delta.tool_use.input))
        elif delta.reasoning_content is not None:
            self._reasoning(delta.reasoning_content, items)

    def _reasoning(self, delta: ReasoningDelta, items: list[StreamItem]) -> None:
        if delta.text:
            items.append(Reasoning(delta.text))
        if not self._is_signed:
            return
        if delta.signature:
            items.append(Reasoning("", signature=Signature(self._request.model, delta.signature)))
        if delta.redacted_content:
            signature = Signature(self._request.model, delta.redacted_content, redacted=True)
            items.append(Reasoning("", signature=signature))

    def _stop(self, reason: str, items: list[StreamItem]) -> None:
        self._in_order()
        known = finish_reason(reason)
        if known is None:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail=f"the message stopped for {clean(reason)}")
        for call in self._calls.values():
            _complete(call, items)
        if self._halves is not None:
            self._halves.join(items, len(items), is_last=True)
        self._reason = "tool_calls" if self._calls and known == "stop" else known

    def _count(self, metadata: Metadata, items: list[StreamItem]) -> None:
        if self._reason is None:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the usage came without messageStop")
        items.append(self._finish(metadata))

    def _finish(self, metadata: Metadata | None) -> Finish:
        self.done = True
        reason = self._reason or "stop"
        return Finish(reason, usage_of(metadata, self._request, self.pieces))


def _complete(call: _Call, items: list[StreamItem]) -> None:
    """Append the arguments of a call that had no pieces: OpenAI's callers are used to JSON, even for nothing."""
    if call.silent:
        call.silent = False
        items.append(ToolCall(call.number, arguments="{}"))
