"""What a client of the OpenAI Responses API gets: a response, or its events, in the vendor's format.

Formats: `openai` 3.57, `types/responses/response.py` and `response_*_event.py`. A run's events always become the same
events with the same sequence numbers, whoever encodes them and how often: so a stream is resumed by encoding the run
anew and leaving out what was seen. `output` has the items.
"""

from math import ceil
from types import MappingProxyType
from typing import Any, Final, assert_never

from msgspec.structs import replace

from chatfleet_api.chat.items import item_owner
from chatfleet_api.domain.errors import FACTS, ChatError
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
    Terminal,
    Token,
    ToolCall,
    Usage,
)
from chatfleet_api.domain.logprobs import logprobs_of
from chatfleet_api.domain.lost_position import position_lost
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.responses.calls import Made
from chatfleet_api.web.dialects.responses.echo import form_of, read_echo
from chatfleet_api.web.dialects.responses.ids import response_id
from chatfleet_api.web.dialects.responses.output import Message, Output
from chatfleet_api.web.dialects.responses.relay import Relay, completed
from chatfleet_api.web.sse import HEARTBEAT, escape_line_separators, json_text
from chatfleet_contract.spec.agents import MEMBER_PREFIX

_INCOMPLETE: Final = MappingProxyType({"length": "max_output_tokens", "content_filter": "content_filter"})


class ResponseEncoder:
    """Encodes one run as the events of a response; also holds the response so far."""

    dialect = "responses"
    heartbeat = HEARTBEAT

    def __init__(self, response_id: str | None = None, *, after: int = -1, at_once: bool = False) -> None:
        """Leave out the events up to number `after`; without an id, the response has the one of its run.

        `at_once`: a stream opens before the first token.
        """
        self.opens_before_first_token = at_once
        self._id = response_id
        self._after = after
        self._start = Start("", "", 0)
        self._echo: dict[str, Any] = {}
        self._output = Output("")
        self._ending: Terminal | None = None
        self._message: Message | None = None
        """The text to which the next token belongs, and what stands before it in its event."""
        self._text_head = b""
        self._relay: Relay | None = None
        """What an upstream of the same API has written; None: nothing, or it has another API."""
        self._seq = 0
        self._frames: list[bytes] = []

    @property
    def ended(self) -> bool:
        """Whether the response has got its last event."""
        return self._ending is not None

    def encode(self, batch: Batch) -> bytes:
        """Return the events of the next batch, in one piece; nothing when all of them are to be left out."""
        self._frames = []
        for event in batch.events:
            if self._text_head and isinstance(event, Token):
                self._take_text(event.text)
            else:
                self._take(event)
        return escape_line_separators(b"".join(self._frames))

    def error_frame(self, error: ChatError) -> bytes:
        """Return the event that explains why no more can be read."""
        self._frames = []
        self._seq = max(self._seq, self._after + 1)  # also a client that resumes beyond it gets it
        self._emit("error", {"code": error.code, "message": error.message, "param": None})
        return escape_line_separators(b"".join(self._frames))

    def response(self) -> dict[str, Any]:
        """Return the response as it is by now. Its output is there when it has ended."""
        ending = self._ending
        status, error, incomplete = _status(ending)
        ours = {
            "id": self._id or response_id(self._start.conversation or "", self._start.run),
            "object": "response",
            "created_at": self._start.created,
            "completed_at": _completed_at(self._start, ending) if status == "completed" else None,
            "status": status,
            "error": error,
            "incomplete_details": incomplete,
            "model": self._start.model,
            "output": self._shown() if ending else [],
            "usage": usage_of(ending.usage) if ending and ending.usage else None,
            **self._echo,
        }
        return ours if ending is None else completed(ours, ending)

    def _shown(self) -> list[dict[str, Any]]:
        return self._output.shown() if self._relay is None else self._relay.output()

    def _take(self, event: Event) -> None:
        match event:
            case Start():
                self._start, self._echo = event, read_echo(event.echo)
                owner = item_owner(event.conversation, event.message) if event.message else event.run
                self._output = Output(owner, form_of(self._echo))
                self._emit("response.created", {"response": self.response()})
                self._emit("response.in_progress", {"response": self.response()})
            case Token() | Reasoning() | ToolCall():
                if self._relay is not None:
                    return  # the upstream's own events have it
                self._emit_all(self._output.take(event))
                self._learn()
            case Complete() | Failed():
                self._end(event)
            case Extended() if (logprobs := logprobs_of(event)) is not None:
                for piece in event.pieces:
                    if isinstance(piece, Token):
                        self._emit_all(self._output.take_with_logprobs(piece, logprobs))
                self._learn()
            case Agent() | ServerToolCall() | ServerToolResult() | RequiresAction():
                self._take_step(event)
            case Extended():
                self._relay = self._relay or Relay()
                self._emit(*self._relay.take(event.extra))
                self._text_head = self._relay.text_head
            case _:
                assert_never(event)

    def _take_step(self, event: Agent | ServerToolEvent) -> None:
        if isinstance(event, Agent):  # who is the model that answers
            self._start = replace(self._start, model=MEMBER_PREFIX + event.name)
        else:
            self._emit_all(self._output.take_server_tool(event))
            self._learn()

    def _take_text(self, text: str) -> None:
        """Do for a text that continues another one what `_take` does, which nearly all events are."""
        if self._message is not None:
            self._message.text.write(text)
        if self._seq > self._after:
            self._frames += (self._text_head, json_text(text), b',"sequence_number":%d}\n\n' % self._seq)
        self._seq += 1

    def _learn(self) -> None:
        """Prepare what stands before the next text."""
        self._message = message = self._output.message
        self._text_head = b""
        if message is not None:
            kind, event = message.delta("")
            del event["delta"]
            stem = json_text({"type": kind, **event})[:-1]
            self._text_head = b"event: " + kind.encode() + b"\ndata: " + stem + b',"delta":'

    def _end(self, ending: Terminal) -> None:
        self._message, self._text_head = None, b""
        self._ending = ending
        status, _, _ = _status(ending)
        if self._relay is None:
            is_whole = isinstance(ending, Complete)
            citations = ending.citations if isinstance(ending, Complete) else ()
            shown = "completed" if status == "completed" else "incomplete"
            self._emit_all(self._output.end(shown, is_whole=is_whole, citations=citations))
        response = self.response()
        self._emit(f"response.{status if isinstance(ending, Complete) else 'failed'}", {"response": response})
        if self._seq <= self._after:
            raise position_lost()

    def _emit_all(self, made: Made) -> None:
        for kind, event in made:
            self._emit(kind, event)

    def _emit(self, kind: str, event: dict[str, Any]) -> None:
        if self._seq > self._after:
            data = json_text({"type": kind, **event, "sequence_number": self._seq})
            self._frames.append(b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n")
        self._seq += 1


def _completed_at(start: Start, ending: Terminal | None) -> int:
    """Return the second in which the answer ended."""
    return start.created + ceil((ending.latency_ms if isinstance(ending, Complete) else 0) / 1000)


def _status(ending: Terminal | None) -> tuple[str, dict[str, Any] | None, dict[str, Any] | None]:
    """Return the response's `status`, `error` and `incomplete_details`."""
    if ending is None:
        return "in_progress", None, None
    if isinstance(ending, Complete):
        reason = _INCOMPLETE.get(ending.finish_reason)
        return ("incomplete", None, {"reason": reason}) if reason else ("completed", None, None)
    facts = FACTS[ending.code]
    if facts.outcome == "cancelled":
        return "cancelled", None, None
    return "failed", {"code": facts.responses_code, "message": ending.message}, None


def usage_of(usage: Usage) -> dict[str, Any]:
    """Return the counts in the vendor's terms."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
