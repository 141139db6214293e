"""What a client of the OpenAI Responses API gets: a response, or its events, in the vendor's format.

Formats: `openai` 3.57, `types/responses/response.py` and `response_*_event.py`. A run's events always become the same
events with the same sequence numbers, whoever encodes them and how often: so a stream is resumed by encoding the run
anew and leaving out what was seen. Reasoning and tool calls are left out.
"""

from io import StringIO
from math import ceil
from types import MappingProxyType
from typing import Any, Final, assert_never

from chatfleet_api.domain.errors import FACTS, ChatError, position_lost
from chatfleet_api.domain.events import (
    Complete,
    Event,
    Extended,
    Failed,
    Reasoning,
    Start,
    Terminal,
    Token,
    ToolCall,
    Usage,
)
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.responses.echo import read_echo
from chatfleet_api.web.dialects.responses.ids import MESSAGE, response_id
from chatfleet_api.web.sse import HEARTBEAT, escape_line_separators, json_text

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
        self._text = StringIO()
        self._ending: Terminal | None = None
        self._message_open = False
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
        return {
            "id": self._id or response_id(self._start.conversation or "", self._start.run),
            "object": "response",
            "created_at": self._start.created,
            "completed_at": self._completed_at() if status == "completed" else None,
            "status": status,
            "error": error,
            "incomplete_details": incomplete,
            "model": self._start.model,
            "output": [self._item(status)] if ending and self._message_open else [],
            "usage": _usage(ending.usage) if ending and ending.usage else None,
            **self._echo,
        }

    def _take(self, event: Event) -> None:
        match event:
            case Start():
                self._start, self._echo = event, read_echo(event.echo)
                self._emit("response.created", {"response": self.response()})
                self._emit("response.in_progress", {"response": self.response()})
            case Token():
                self._open_message()
                self._text.write(event.text)
                self._emit("response.output_text.delta", self._place() | {"delta": event.text, "logprobs": []})
            case Complete():
                self._open_message()
                self._end(event)
            case Failed():
                self._end(event)
            case Reasoning() | ToolCall():
                self._omit(event)
            case Extended():
                for piece in event.pieces:
                    self._take(piece)
            case _:
                assert_never(event)

    def _omit(self, event: Reasoning | ToolCall) -> None:
        """Leave the event out: a response has text alone, neither `reasoning` nor `function_call` items yet.

        Tools cannot be requested here (`request.py`), so a model has none to call.
        """

    def _open_message(self) -> None:
        """Open the one message, with its one part, before its first text."""
        if not self._message_open:
            self._message_open = True
            item = {**self._item("in_progress"), "content": []}
            self._emit("response.output_item.added", {"output_index": 0, "item": item})
            self._emit("response.content_part.added", self._place() | {"part": self._part()})

    def _end(self, ending: Terminal) -> None:
        self._ending = ending
        response = self.response()
        if self._message_open:
            self._emit("response.output_text.done", self._place() | {"text": self._text.getvalue(), "logprobs": []})
            self._emit("response.content_part.done", self._place() | {"part": self._part()})
            self._emit("response.output_item.done", {"output_index": 0, "item": response["output"][0]})
        kind = response["status"] if isinstance(ending, Complete) else "failed"
        self._emit(f"response.{kind}", {"response": response})
        if self._seq <= self._after:
            raise position_lost()

    def _emit(self, kind: str, event: dict[str, Any]) -> None:
        if self._seq > self._after:
            data = json_text({"type": kind, **event, "sequence_number": self._seq})
            self._frames.append(b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n")
        self._seq += 1

    def _completed_at(self) -> int:
        """Return the second in which the answer ended."""
        latency_ms = self._ending.latency_ms if isinstance(self._ending, Complete) else 0
        return self._start.created + ceil(latency_ms / 1000)

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id(), "output_index": 0, "content_index": 0}

    def _item_id(self) -> str:
        return MESSAGE + (self._start.message or self._start.run)

    def _part(self) -> dict[str, Any]:
        return {"type": "output_text", "text": self._text.getvalue(), "annotations": [], "logprobs": []}

    def _item(self, status: str) -> dict[str, Any]:
        return {
            "id": self._item_id(),
            "type": "message",
            "role": "assistant",
            "status": status if status in {"in_progress", "completed"} else "incomplete",
            "content": [self._part()],
        }


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


def _usage(usage: Usage) -> dict[str, Any]:
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
