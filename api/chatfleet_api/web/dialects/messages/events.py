"""The events of one message, in the vendor's terms: from those of a run to those that a client gets.

An upstream of the same dialect sends its own events (`Extended.extra`), which go on but for the id and the name of the
model. From any other upstream come texts, thoughts and tool calls alone; the blocks around them are made here.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.events import (
    Agent,
    Complete,
    Extended,
    FinishReason,
    Reasoning,
    ServerToolEvent,
    Start,
    Token,
    ToolCall,
    Usage,
)
from chatfleet_contract.spec.agents import MEMBER_PREFIX

Fields: TypeAlias = dict[str, Any]

STOP_REASONS: Final = MappingProxyType[FinishReason, str](
    {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "content_filter": "refusal",
        "requires_action": "pause_turn",  # of no answer: those of this API are not stored, and wait for nothing
    }
)
_MADE: Final = MappingProxyType(
    {
        "container": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_creation": None,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "inference_geo": None,
            "output_tokens_details": None,
            "server_tool_use": None,
            "service_tier": None,
        },
    }
)
"""What the vendor's description requires of a message besides, where no upstream of the dialect has sent it."""
_DIRECT: Final[Fields] = {"caller": {"type": "direct"}}
_REFUSAL: Final[Fields] = {"type": "refusal", "category": None, "explanation": None}
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class MessageEvents:
    """Turns the events of one run into those of one message."""

    def __init__(self) -> None:
        self._start = Start("", "", 0)
        self._is_started = False
        self._next = 0
        """Number of the next block."""
        self.open: tuple[int, str] | None = None
        """Number and type of the block that is open."""
        self._calls: dict[int, int] = {}
        """Numbers of the blocks of tool calls, by the numbers of these."""

    def take(
        self, event: Start | Agent | Token | Reasoning | ToolCall | Extended | ServerToolEvent | Complete
    ) -> Iterator[Fields]:
        """Yield what a client gets for `event`."""
        if isinstance(event, Start):
            self._start = event
            return
        if isinstance(event, ServerToolEvent):
            return
        if isinstance(event, Agent):
            self._start = replace(self._start, model=MEMBER_PREFIX + event.name)
            return
        if not self._is_started and not (isinstance(event, Extended) and self._begins(event)):
            yield {"type": "message_start", "message": self._message(_MADE)}
        match event:
            case Token():
                yield from self._block({"type": "text", "text": "", "citations": None})
                yield self._delta({"type": "text_delta", "text": event.text})
            case Reasoning():
                yield from self._block({"type": "thinking", "thinking": "", "signature": ""})
                yield self._delta({"type": "thinking_delta", "thinking": event.text})
            case ToolCall():
                yield from self._call(event)
            case Extended():
                yield from self._relayed(_decode(event.extra))
            case Complete():
                yield from self._close()
                yield message_delta(event)
                yield {"type": "message_stop"}
            case _:
                assert_never(event)

    def _begins(self, event: Extended) -> bool:
        return (
            bytes(event.extra).startswith(b'{"type":"message_start"') or _decode(event.extra)["type"] == "message_start"
        )

    def _message(self, message: Mapping[str, Any]) -> Fields:
        """Return the message that the first event shows."""
        self._is_started = True
        known = {"id": message_id(self._start.run), "type": "message", "role": "assistant", "model": self._start.model}
        empty: Fields = {"content": [], "stop_reason": None, "stop_sequence": None}
        usage = {"usage": {"input_tokens": 0, "output_tokens": 0}}
        return {**known, **empty, **usage, **message, **known}

    def _relayed(self, event: Fields) -> Iterator[Fields]:
        match event["type"]:
            case "message_start":
                message = event.get("message")
                yield {**event, "message": self._message(message if isinstance(message, dict) else {})}
                return
            case "content_block_start":
                block = event.get("content_block")
                kind = str(block.get("type")) if isinstance(block, dict) else ""
                self.open, self._next = (event["index"], kind), event["index"] + 1
            case "content_block_stop":
                self.open = None
        yield event

    def _block(self, block: Fields) -> Iterator[Fields]:
        """Open a block, unless one of its type is open."""
        if self.open is None or self.open[1] != block["type"]:
            yield from self._close()
            self.open = (self._next, block["type"])
            yield {"type": "content_block_start", "index": self._next, "content_block": block}
            self._next += 1

    def _delta(self, delta: Fields, index: int | None = None) -> Fields:
        at = self.open[0] if index is None and self.open else index
        return {"type": "content_block_delta", "index": at, "delta": delta}

    def _call(self, piece: ToolCall) -> Iterator[Fields]:
        """Yield a piece of a tool call: within the block that the upstream has opened, or one of its own."""
        index = self._calls.get(piece.index)
        if index is None and piece.id is None and self.open and self.open[1] == "tool_use":
            index = self.open[0]
        if index is None:
            yield from self._close()
            index = self._calls[piece.index] = self._next
            self.open = (index, "tool_use")
            block: Fields = {"type": "tool_use", "id": piece.id, "name": piece.name or "", "input": {}, **_DIRECT}
            yield {"type": "content_block_start", "index": index, "content_block": block}
            self._next += 1
        if piece.arguments:
            yield self._delta({"type": "input_json_delta", "partial_json": piece.arguments}, index)

    def _close(self) -> Iterator[Fields]:
        if self.open is not None:
            yield {"type": "content_block_stop", "index": self.open[0]}
            self.open = None


def message_delta(complete: Complete) -> Fields:
    """Return the event with the reason to stop and the usage: the upstream's own, or ours in the vendor's terms."""
    extra = complete.extra or {}
    delta: Fields = {"stop_reason": STOP_REASONS[complete.finish_reason], "stop_sequence": None}
    own, usage = extra.get("delta"), extra.get("usage")
    if not extra:
        delta |= {"container": None, "stop_details": _REFUSAL if complete.finish_reason == "content_filter" else None}
        usage = {"server_tool_use": None}
    return {
        **extra,
        "type": "message_delta",
        "delta": delta | (own if isinstance(own, dict) else {}),
        "usage": usage_of(complete.usage) | (usage if isinstance(usage, dict) else {}),
    }


def usage_of(usage: Usage) -> Fields:
    """Return the counts in the vendor's terms, in which the input has nothing that the cache took or gave."""
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    return {
        "input_tokens": max(0, usage.input_tokens - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def message_id(run: str) -> str:
    """Return the vendor-style id of a run's message."""
    return f"msg_{run}"
