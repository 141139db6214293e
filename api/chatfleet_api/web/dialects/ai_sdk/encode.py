"""The UI message stream: a run's events as the parts of one message, from its first on, so that a replay is identical.

Text and reasoning are opened and closed as parts of their own. A stream that fails has `error` and no `finish`.
"""

from typing import Any, Final, assert_never

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Agent,
    Citation,
    Complete,
    Event,
    Extended,
    Failed,
    FinishReason,
    Reasoning,
    RequiresAction,
    ServerToolCall,
    ServerToolEvent,
    ServerToolResult,
    Start,
    Token,
    ToolCall,
    Usage,
)
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.ai_sdk.tools import ToolCalls
from chatfleet_api.web.dialects.native.bodies import requires_action
from chatfleet_api.web.dialects.native.errors import error_body
from chatfleet_api.web.sse import HEARTBEAT, escape_line_separators, json_text
from chatfleet_api.web.sse import typed_frame as frame

DONE: Final = b"data: [DONE]\n\n"
_REASONS: Final[dict[FinishReason, str]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
    "requires_action": "tool-calls",
}


class UIMessageEncoder:
    """Encodes one run, from its first event on."""

    dialect = "ai-sdk"
    heartbeat = HEARTBEAT
    opens_before_first_token = False

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._open = ""
        self._parts = 0
        self._before_text = b""
        self._tools = ToolCalls()

    def encode(self, batch: Batch) -> bytes:
        """Return the parts of the next batch, in one piece."""
        return escape_line_separators(b"".join(map(self._event, batch.events)))

    def error_frame(self, error: ChatError) -> bytes:
        """Return the parts that explain why no more can be read."""
        return escape_line_separators(self._failed(Failed.of(error)))

    def _event(self, event: Event) -> bytes:
        if isinstance(event, Token):
            return self._delta("text", event.text)
        match event:
            case Reasoning():
                return self._delta("reasoning", event.text) if event.text else b""
            case ToolCall():
                return self._close() + self._tools.add(event)
            case Extended():
                return b"".join(map(self._event, event.pieces))
            case Agent() | ServerToolCall() | ServerToolResult() | RequiresAction():
                return (self._close() if isinstance(event, Agent | RequiresAction) else b"") + _announced(event)
            case Start() | Complete() | Failed():
                return self._bound(event)
            case _:
                assert_never(event)

    def _bound(self, event: Start | Complete | Failed) -> bytes:
        match event:
            case Start():
                shown = {"conversationId": event.conversation, "runId": event.run, "model": event.model}
                return frame("start", messageMetadata=shown, messageId=event.message) + frame("start-step")
            case Complete():
                return self._complete(event)
            case Failed():
                return self._failed(event)
            case _:
                assert_never(event)

    def _delta(self, kind: str, text: str) -> bytes:
        frames = b""
        if self._open != kind:
            frames = self._close()
            number = str(self._parts)
            self._open, self._parts = kind, self._parts + 1
            self._before_text = b'data: {"type":"%b-delta","id":"%b","delta":' % (kind.encode(), number.encode())
            frames += frame(f"{kind}-start", id=number)
        return frames + self._before_text + json_text(text) + b"}\n\n"

    def _close(self) -> bytes:
        kind, self._open = self._open, ""
        return frame(f"{kind}-end", id=str(self._parts - 1)) if kind else b""

    def _complete(self, event: Complete) -> bytes:
        sources = b"".join(map(_source, event.citations))
        ended = self._close() + self._tools.end() + sources + frame("finish-step")
        shown = {"usage": _usage(event.usage)}
        return ended + frame("finish", finishReason=_REASONS[event.finish_reason], messageMetadata=shown) + DONE

    def _failed(self, event: Failed) -> bytes:
        """End without the mark of completion, `[DONE]`; the text of an error is the body of the same HTTP error."""
        if event.code is Code.CANCELLED:
            return self._close() + frame("abort", reason=event.message)
        body = error_body(ChatError(event.code, event.message, param=event.param), self._request_id)
        return self._close() + frame("error", errorText=body.decode())


def _source(citation: Citation) -> bytes:
    source = citation.source
    kind = "text/markdown" if source.endswith(".md") else "text/plain"
    return frame("source-document", sourceId=f"{source}#{citation.chunk}", mediaType=kind, title=source)


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "cachedInputTokens": usage.cache_read_tokens,
    }


def _announced(event: Agent | ServerToolEvent) -> bytes:
    """Return who answers, and calls that wait for approval; other calls of tool servers are not shown."""
    if isinstance(event, Agent):
        return frame("data-agent", data={"name": event.name, "reason": event.reason})
    if isinstance(event, RequiresAction):
        return frame("data-requires-action", data=msgspec.to_builtins(requires_action(event)))
    return b""
