"""Our own dialect's streams: a run's events as server-sent events, each with the id by which a client resumes."""

from typing import TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Agent,
    Citation,
    Complete,
    ContextUse,
    Extended,
    Failed,
    FinishReason,
    Reasoning,
    RequiresAction,
    Retrieval,
    ServerToolCall,
    ServerToolEvent,
    ServerToolResult,
    Start,
    Token,
    ToolCall,
)
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.native.bodies import (
    AgentBody,
    UsageBody,
    agent_bodies,
    cost_usd,
    requires_action,
    usage_body,
)
from chatfleet_api.web.sse import HEARTBEAT, escape_line_separators, json_text

Public: TypeAlias = Start | Agent | Reasoning | ToolCall | Extended | ServerToolEvent | Complete | Failed
"""Every event but a token."""


class CompleteEvent(msgspec.Struct, frozen=True, tag_field="type", tag="complete", omit_defaults=True):
    """The answer is whole; `citations`: the chunks of documents that the model was given, where it has documents."""

    finish_reason: FinishReason
    usage: UsageBody
    cost_usd: str | None
    latency_ms: int
    time_to_first_token_ms: int | None
    context: ContextUse | None
    """What the model got of the conversation; null: all of it."""
    citations: tuple[Citation, ...] = ()
    retrieval: Retrieval = ""
    """`by_words`: documents were not looked for by meaning, because the embedding model did not respond.

    `unavailable`: the answer is without documents, because they could not be used.
    """
    cached: bool = False
    """Whether the answer is one to an equal request before, from the response cache."""
    agents: tuple[AgentBody, ...] = ()
    """What each agent has used, where agents have answered."""


class ErrorEvent(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """The answer ended without being whole; `partial_saved`: its first part is in the conversation."""

    code: Code
    message: str
    suggested_action: str
    retryable: bool
    request_id: str
    retry_after: float | None
    partial_saved: bool
    usage: UsageBody | None
    cost_usd: str | None


class EventEncoder:
    """Encodes one run as `start`, `agent` if one answers, `token`, `reasoning` and `tool_call` events, and the end.

    The end is one `complete` or `error`.
    """

    dialect = "native"
    heartbeat = HEARTBEAT
    opens_before_first_token = True

    def __init__(self, run: str, request_id: str) -> None:
        self._id = b"id: " + run.encode() + b"-"
        self._request_id = request_id

    def encode(self, batch: Batch) -> bytes:
        """Return the events of the next batch, in one piece."""
        frames: list[bytes] = []
        for seq, event in enumerate(batch.events, batch.first):
            frames += (self._id, b"%d\n" % seq)
            if isinstance(event, Token):
                frames += (b'event: token\ndata: {"type":"token","text":', json_text(event.text), b"}\n\n")
            else:
                frames.append(_frame(self.public(event)))
        return escape_line_separators(b"".join(frames))

    def error_frame(self, error: ChatError) -> bytes:
        """Return the event that explains why no more can be read; it has no id, for it is none of the run's."""
        return escape_line_separators(_frame(self._error(Failed.of(error))))

    def public(self, event: Public) -> msgspec.Struct:
        """Return an event as clients get it."""
        match event:
            case Complete(reason, usage, latency, first):
                shown, cost = usage_body(usage), cost_usd(usage)
                parts = event.citations, event.retrieval, usage.cached, agent_bodies(event.agents)
                return CompleteEvent(reason, shown, cost, latency, first, event.context, *parts)
            case Failed():
                return self._error(event)
            case Start():
                return replace(event, echo="")  # another dialect's
            case Reasoning() | ToolCall() | Extended() | ServerToolResult():  # `Extended` in no run of this dialect
                return event
            case Agent() | ServerToolCall():
                return replace(event, thoughts=())  # a vendor's own, for its model alone
            case RequiresAction():
                return requires_action(event)
            case _:
                assert_never(event)

    def _error(self, failed: Failed) -> ErrorEvent:
        return ErrorEvent(
            failed.code,
            failed.message,
            failed.suggested_action,
            failed.retryable,
            self._request_id,
            failed.retry_after,
            failed.partial_saved,
            None if failed.usage is None else usage_body(failed.usage),
            cost_usd(failed.usage),
        )


def _frame(event: msgspec.Struct) -> bytes:
    kind = str(event.__struct_config__.tag).encode()
    return b"event: " + kind + b"\ndata: " + json_text(event) + b"\n\n"
