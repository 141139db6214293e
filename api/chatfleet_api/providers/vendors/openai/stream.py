"""Parses the answer of OpenAI's chat completions from the payloads of its stream. Pure.

https://platform.openai.com/docs/api-reference/chat-streaming. Decodes the few fields that matter, at a hundredth of
what the SDK's objects cost, and ignores what it does not know.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason, Reasoning, Token, ToolCall, Usage
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import usage_estimate
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.upstream_errors import ErrorObject, clean, from_event

FINISH_REASONS: Final = MappingProxyType[str, FinishReason](
    {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "content_filter": "content_filter",
        "eos_token": "stop",
        "stop_sequence": "stop",
    }
)
"""OpenAI's own, and text-generation-inference's. Any other (`abort`, `error`) means that the answer is not whole."""


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    """DeepSeek's name, and that of most compatible servers."""
    reasoning: str | None = None
    """OpenRouter's name, and that of newer vLLM."""
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    def usage(self) -> Usage:
        """Return these numbers in our terms."""
        prompt = self.prompt_tokens_details or _PromptDetails()
        completion = self.completion_tokens_details or _CompletionDetails()
        return Usage(
            input_tokens=self.prompt_tokens,
            output_tokens=self.completion_tokens,
            reasoning_tokens=completion.reasoning_tokens or 0,
            cache_read_tokens=prompt.cached_tokens or 0,
            cache_write_tokens=prompt.cache_write_tokens or 0,
        )


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: ErrorObject | str | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class CompletionParser:
    """Parses the chunks of one chat completion.

    The answer is whole when a `finish_reason` has come. It ends at `[DONE]` or with the stream, since the usage
    comes after that.
    """

    __slots__ = ("_finish_reasons", "_items", "_reason", "_request", "_usage", "done")

    def __init__(self, request: ChatRequest, *, finish_reasons: Mapping[str, FinishReason] = FINISH_REASONS) -> None:
        """Parse the answer to `request`, of a vendor that ends whole answers with one of `finish_reasons`."""
        self.done = False
        self._finish_reasons = finish_reasons
        self._request = request
        self._reason: FinishReason | None = None
        self._usage: _Usage | None = None
        self._items = 0

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one chunk brings."""
        if payload == b"[DONE]":
            items.append(self.end())
            return
        try:
            chunk = _decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail=f"not a chat completion chunk: {error}") from error
        if chunk.error is not None:
            raise from_event(chunk.error)
        before = len(items)
        for choice in chunk.choices or ():
            if choice.delta is not None:
                _append(choice.delta, items)
            if choice.finish_reason:
                self._reason = self._finish_reason(choice.finish_reason)
        self._items += len(items) - before
        self._usage = chunk.usage or self._usage

    def end(self) -> Finish:
        """Return the finish, if the provider sent a reason."""
        if self._reason is None:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the stream ended without a finish_reason")
        self.done = True
        return Finish(self._reason, self._usage.usage() if self._usage else usage_estimate(self._request, self._items))

    def _finish_reason(self, reason: str) -> FinishReason:
        if reason not in self._finish_reasons:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail=f"the stream ended with finish_reason {clean(reason)}")
        return self._finish_reasons[reason]


def _append(delta: _Delta, items: list[StreamItem]) -> None:
    if reasoning := delta.reasoning_content or delta.reasoning:
        items.append(Reasoning(reasoning))
    if delta.content:
        items.append(Token(delta.content))
    if delta.refusal:
        items.append(Token(delta.refusal))
    if delta.tool_calls:
        items += [_tool_call(position, call) for position, call in enumerate(delta.tool_calls)]


def _tool_call(position: int, call: _Call) -> ToolCall:
    function = call.function or _Function()
    index = position if call.index is None else call.index
    return ToolCall(index, call.id, function.name, function.arguments or "")
