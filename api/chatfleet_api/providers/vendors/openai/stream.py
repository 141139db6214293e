"""Parses the answer of OpenAI's chat completions from the payloads of its stream. Pure.

https://platform.openai.com/docs/api-reference/chat-streaming. Decodes the few fields that matter, at a hundredth of
what the SDK's objects cost, and ignores what it does not know.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import FinishReason, Reasoning, Token
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.finish_reasons import FINISH_REASONS, UNFINISHED, finish_reason
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.surrogates import Halves, halves_of
from chatfleet_api.providers.upstream_errors import clean
from chatfleet_api.providers.vendors.openai.chunks import UNEXPECTED, Chunk, Delta, decode
from chatfleet_api.providers.vendors.openai.odd_chunks import OddChunks
from chatfleet_api.providers.vendors.openai.tool_calls import ToolCalls
from chatfleet_api.providers.vendors.openai.usage import UsageCount

_ELSEWHERE: Final = re.compile(
    rb'"(?:message|text|reasoning_details|images|audio|error|x_groq)"\s*:\s*[^\sn]|"usage"\s*:\s*\{'
)
"""What `odd_chunks` reads in a chunk whose delta brings nothing."""


class CompletionParser:
    """Parses the chunks of one chat completion.

    The answer is whole when a `finish_reason` has come. It ends at `[DONE]` or with the stream, since the usage
    comes after that.
    """

    __slots__ = (
        "_calls",
        "_finish_reasons",
        "_halves",
        "_odd",
        "_other_name",
        "_reason",
        "_request",
        "_usage",
        "done",
        "pieces",
    )

    def __init__(self, request: ChatRequest, *, finish_reasons: Mapping[str, FinishReason] = FINISH_REASONS) -> None:
        """Parse the answer to `request`, of a vendor that ends whole answers with one of `finish_reasons`."""
        self.done = False
        self._finish_reasons = finish_reasons
        self._request = request
        self._reason: FinishReason | None = None
        self._usage = UsageCount()
        self._calls = ToolCalls(request)
        self._odd = OddChunks()
        self._other_name: str | None = None
        """What clients get in the place of `reasoning_content` where the upstream has `reasoning`."""
        self.pieces = 0
        self._halves: Halves | None = None
        """Joins split characters, from the first chunk on that has half of one."""

    @property
    def has_begun(self) -> bool:
        return bool(self.pieces or self._calls or self._odd.any_read)

    @property
    def is_ending(self) -> bool:
        return self._reason is not None

    @property
    def is_holding(self) -> bool:
        return bool(self._calls)

    @property
    def left_out(self) -> Collection[str]:
        return self._odd.left_out

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what one chunk brings."""
        chunk = self._chunk(payload)
        if chunk is None:
            items.append(self.end())
            return
        before = len(items)
        try:
            for choice in chunk.choices or ():
                if choice.delta is not None:
                    self._append(choice.delta, items)
                if choice.finish_reason:
                    self._finish(choice.finish_reason, items)
        finally:  # an answer that fails keeps its items
            if self._halves is not None:
                self._halves.join(items, before, is_last=self.is_ending)
        self.pieces += len(items) - before
        if chunk.usage is not None:
            self._usage.read(chunk.usage)
            if self._reason is not None:
                self._usage.read_tier(payload)

    def end(self) -> Finish:
        """Return the finish, if the provider sent a reason."""
        if self._reason is None:
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the stream ended without a finish_reason")
        self.done = True
        return Finish(self._reason, self._usage.usage(self._request, self.pieces))

    def _finish(self, word: str, items: list[StreamItem]) -> None:
        reason = finish_reason(word, self._finish_reasons)
        if reason is None:
            if word.lower() in UNFINISHED:
                return
            raise ChatError(Code.UPSTREAM_TRUNCATED, detail=f"the stream ended with finish_reason {clean(word)}")
        self._end_with(reason, items)

    def _end_with(self, reason: FinishReason, items: list[StreamItem]) -> None:
        """Take a reason; `stop` beside tool calls is theirs, and replaces none that is more precise."""
        items += self._calls.complete()
        if reason == "stop":
            reason = "tool_calls" if self._calls and self._reason in (None, "stop") else self._reason or "stop"
        self._reason = reason

    def _append(self, delta: Delta, items: list[StreamItem]) -> None:
        if delta.reasoning_content:
            items.append(Reasoning(delta.reasoning_content))
        elif delta.reasoning:
            items.append(Reasoning(delta.reasoning, self._other_name))
        if delta.content:
            items.append(Token(delta.content))
        if delta.refusal:
            items.append(Token(delta.refusal))
        if delta.tool_calls:
            items += [item for call in delta.tool_calls if (item := self._calls.read(call))]
            if self._reason is not None:  # the call comes after the reason
                self._end_with("stop", items)

    def _chunk(self, payload: bytes) -> Chunk | None:
        """Return a chunk; None: the mark of the end."""
        try:
            chunk = decode(payload)
        except UNEXPECTED as error:
            return self._odd_chunk(payload, error)
        if choices := chunk.choices:
            delta = choices[0].delta
            if delta and (
                delta.content or delta.reasoning_content or delta.reasoning or delta.tool_calls or delta.refusal
            ):
                return chunk
            if not _ELSEWHERE.search(payload):
                self._odd.any_read = True
                return chunk
        elif chunk.usage is not None:
            return chunk
        return self._odd_chunk(payload)  # an error, or an answer in another form

    def _odd_chunk(self, payload: bytes, unexpected: Exception | None = None) -> Chunk | None:
        self._halves = self._halves or halves_of(payload)
        return self._odd.read(payload, unexpected, is_first=not self.pieces)
