"""AG-UI 1.0: a run's events as those of the client's run, from the first on, so that a replay is identical.

A run ends with RUN_FINISHED, or fails with RUN_ERROR.
"""

from typing import Any, Final, assert_never

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Agent,
    Complete,
    Event,
    Extended,
    Failed,
    Reasoning,
    RequiresAction,
    ServerToolCall,
    ServerToolEvent,
    ServerToolResult,
    Start,
    Token,
    ToolCall,
)
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.native.bodies import requires_action
from chatfleet_api.web.sse import HEARTBEAT, escape_line_separators, json_text
from chatfleet_api.web.sse import typed_frame as frame

PROTOCOL: Final = "1.0"
_TEXT: Final = "TEXT_MESSAGE"
_REASONING: Final = "REASONING_MESSAGE"


class AgentEncoder:
    """Encodes one run under the ids that its client has for thread and run."""

    dialect = "ag-ui"
    heartbeat = HEARTBEAT
    opens_before_first_token = False

    def __init__(self, thread: str, run: str) -> None:
        self._ids = {"threadId": thread, "runId": run}
        self._message = ""
        self._model = ""
        self._parts = 0
        self._open = ""
        self._open_id = ""
        self._before_text = b""
        self._calls: dict[int, str] = {}

    def encode(self, batch: Batch) -> bytes:
        """Return the events of the next batch, in one piece."""
        return escape_line_separators(b"".join(map(self._event, batch.events)))

    def error_frame(self, error: ChatError) -> bytes:
        """Return the event that explains why no more can be read."""
        return escape_line_separators(self._failed(Failed.of(error)))

    def _event(self, event: Event) -> bytes:
        if isinstance(event, Token):
            return self._delta(_TEXT, event.text)
        match event:
            case Reasoning():
                return self._delta(_REASONING, event.text) if event.text else b""
            case ToolCall():
                return self._close() + self._call(event)
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
                self._message, self._model = event.message or event.run, event.model
                known = {"conversationId": event.conversation, "runId": event.run, "model": event.model}
                return frame("RUN_STARTED", **self._ids, protocolVersion=PROTOCOL, metadata=known)
            case Complete():
                return self._complete(event)
            case Failed():
                return self._failed(event)
            case _:
                assert_never(event)

    def _delta(self, kind: str, text: str) -> bytes:
        frames = b"" if self._open == kind else self._close() + self._begin(kind)
        return frames + self._before_text + json_text(text) + b"}\n\n" if text else frames

    def _begin(self, kind: str) -> bytes:
        """Begin a message; the first has the id of the answer, those after it a number."""
        self._open, self._open_id = kind, f"{self._message}-{self._parts}" if self._parts else self._message
        self._parts += 1
        self._before_text = b'data: {"type":"%b_CONTENT","messageId":%b,"delta":' % (
            kind.encode(),
            json_text(self._open_id),
        )
        if kind == _TEXT:
            return frame("TEXT_MESSAGE_START", messageId=self._open_id, role="assistant")
        begun = frame("REASONING_START", messageId=self._open_id)
        return begun + frame("REASONING_MESSAGE_START", messageId=self._open_id, role="reasoning")

    def _close(self) -> bytes:
        kind, self._open = self._open, ""
        if not kind:
            return b""
        ended = frame(f"{kind}_END", messageId=self._open_id)
        return ended if kind == _TEXT else ended + frame("REASONING_END", messageId=self._open_id)

    def _call(self, piece: ToolCall) -> bytes:
        frames = b""
        if piece.index not in self._calls:
            self._calls[piece.index] = piece.id or f"call-{piece.index}"
            call = self._calls[piece.index]
            parent = {"parentMessageId": self._message}
            frames = frame("TOOL_CALL_START", toolCallId=call, toolCallName=piece.name or "", **parent)
        if piece.arguments:
            frames += frame("TOOL_CALL_ARGS", toolCallId=self._calls[piece.index], delta=piece.arguments)
        return frames

    def _complete(self, event: Complete) -> bytes:
        ended = self._close() + b"".join(frame("TOOL_CALL_END", toolCallId=call) for call in self._calls.values())
        usage: dict[str, Any] = {
            "model": self._model,
            "inputTokens": event.usage.input_tokens,
            "outputTokens": event.usage.output_tokens,
            "totalTokens": event.usage.input_tokens + event.usage.output_tokens,
            "reasoningTokens": event.usage.reasoning_tokens,
            "cachedInputTokens": event.usage.cache_read_tokens,
            "cacheWriteInputTokens": event.usage.cache_write_tokens,
        }
        result = {"finishReason": event.finish_reason}
        outcome: dict[str, Any] = {"type": "success"}
        if self._calls:
            outcome["pendingToolCallIds"] = list(self._calls.values())
        return ended + frame("RUN_FINISHED", **self._ids, result=result, outcome=outcome, usage=[usage])

    def _failed(self, event: Failed) -> bytes:
        if event.code is Code.CANCELLED:
            calls = b"".join(frame("TOOL_CALL_END", toolCallId=call) for call in self._calls.values())
            return self._close() + calls + frame("RUN_FINISHED", **self._ids, outcome={"type": "cancelled"})
        return frame("RUN_ERROR", message=f"{event.message} {event.suggested_action}", code=event.code)


def _announced(event: Agent | ServerToolEvent) -> bytes:
    """Return who answers, and calls that wait for approval; other calls of tool servers are not shown."""
    if isinstance(event, Agent):
        return frame("CUSTOM", name="agent", value={"name": event.name, "reason": event.reason})
    if isinstance(event, RequiresAction):
        return frame("CUSTOM", name="requires_action", value=msgspec.to_builtins(requires_action(event)))
    return b""
