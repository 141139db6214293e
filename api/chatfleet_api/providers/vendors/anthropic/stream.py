"""Parses the answer of Anthropic's Messages API from the payloads of its stream. Pure.

https://platform.claude.com/docs/en/build-with-claude/streaming, which requires that unknown events are ignored.
"""

from types import MappingProxyType
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason, Reasoning, Token, ToolCall, Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.upstream_errors import ErrorObject, clean, from_event

_FINISH_REASONS: Final = MappingProxyType[str, FinishReason](
    {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
    }
)
"""`pause_turn` is missing: it comes with the server's own tools only, which are never used, and is no end."""


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int = 0


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None

    def usage(self) -> Usage:
        """Return these numbers in our terms, in which the input includes what the cache took or gave."""
        written, read = self.cache_creation_input_tokens or 0, self.cache_read_input_tokens or 0
        return Usage(
            input_tokens=(self.input_tokens or 0) + written + read,
            output_tokens=self.output_tokens or 0,
            reasoning_tokens=self.output_tokens_details.thinking_tokens if self.output_tokens_details else 0,
            cache_read_tokens=read,
            cache_write_tokens=written,
        )


class _Message(msgspec.Struct, gc=False):
    usage: _Usage | None = None


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str = ""
    id: str | None = None
    name: str | None = None


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    """Any event: they share their fields, and unknown ones are ignored."""

    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: ErrorObject | None = None


_decode = msgspec.json.Decoder(_Event).decode


class MessageParser:
    """Parses the events of one message, which is whole when `message_stop` comes after a reason to stop."""

    def __init__(self, request: ChatRequest) -> None:
        self.done = False
        self._request = request
        self._items = 0
        self._started = False
        self._reason: FinishReason | None = None
        self._usage = _Usage()
        self._calls: dict[int, int] = {}
        """From the number of a content block to the number of its tool call: blocks of other kinds are not counted."""
        self._silent_call = False
        """Whether the tool call that is being read has had no arguments yet."""

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one event brings."""
        try:
            event = _decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail=f"not an event of a message: {error}") from error
        before = len(items)
        if event.type == "content_block_delta":
            self._in_order()
            self._delta(event, items)
        elif event.type == "content_block_start":
            self._in_order()
            self._block(event, items)
        elif event.type == "content_block_stop":
            if self._silent_call and event.index in self._calls:  # OpenAI's callers are used to JSON, even for nothing
                items.append(ToolCall(self._calls[event.index], arguments="{}"))
                self._silent_call = False
        elif event.type == "message_start":
            self._started = True
            self._count(event.message.usage if event.message else None)
        elif event.type == "message_delta":
            self._in_order()
            self._count(event.usage)
            self._stop(event.delta.stop_reason if event.delta else None)
        elif event.type == "message_stop":
            items.append(self._finish())
        elif event.type == "error":
            raise from_event(event.error or ErrorObject())
        self._items += len(items) - before

    def end(self) -> Finish:
        """Raise, since only `message_stop` ends a message."""
        raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the stream ended without message_stop")

    def _in_order(self) -> None:
        if not self._started:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail="the stream does not begin with message_start")

    def _block(self, event: _Event, items: list[StreamItem]) -> None:
        block = event.content_block or _Block("")
        if block.type == "tool_use":
            call = self._calls[event.index] = len(self._calls)
            self._silent_call = True
            items.append(ToolCall(call, block.id, block.name))
        elif block.text:
            items.append(Token(block.text))

    def _delta(self, event: _Event, items: list[StreamItem]) -> None:
        delta = event.delta or _Delta()
        if delta.text:
            items.append(Token(delta.text))
        elif delta.thinking:
            items.append(Reasoning(delta.thinking))
        elif delta.partial_json and event.index in self._calls:
            self._silent_call = False
            items.append(ToolCall(self._calls[event.index], arguments=delta.partial_json))

    def _count(self, usage: _Usage | None) -> None:
        """Take the numbers that are there: they are totals so far, and what is missing has not changed."""
        for name, value in msgspec.structs.asdict(usage or _Usage()).items():
            if value is not None:
                setattr(self._usage, name, value)

    def _stop(self, reason: str | None) -> None:
        if reason is not None and reason not in _FINISH_REASONS:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail=f"the message stopped for {clean(reason)}")
        self._reason = _FINISH_REASONS[reason] if reason else self._reason

    def _finish(self) -> Finish:
        if self._reason is None:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the message stopped without a reason")
        self.done = True
        usage = self._usage.usage() if self._usage.output_tokens is not None else None
        return Finish(self._reason, usage or usage_estimate(self._request, self._items))
