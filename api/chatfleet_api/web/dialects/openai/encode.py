"""What a client of the OpenAI chat completions API gets: chunks, completions and models, in the vendor's format.

Formats: `openai` 3.52, `types/chat/chat_completion_chunk.py`, `types/chat/chat_completion.py` and `types/model.py`.
Reasoning is sent as `reasoning_content`, the field that DeepSeek began and most clients read.
"""

from typing import Any, Final, assert_never

import msgspec

from chatfleet_api.chat.reply import Reply
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import (
    Agent,
    Complete,
    Extended,
    Failed,
    Piece,
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
from chatfleet_api.web.collect import CollectedCompletion, as_error
from chatfleet_api.web.dialects.openai import errors
from chatfleet_api.web.dialects.openai.extras import Extra, completed, delta_with, merged, usage_with
from chatfleet_api.web.sse import HEARTBEAT, escape_line_separators, json_text
from chatfleet_contract.spec.agents import MEMBER_PREFIX

DONE: Final = b"data: [DONE]\n\n"


class ChunkEncoder:
    """Encodes one run as `chat.completion.chunk` events; `[DONE]` follows a whole answer and nothing else."""

    dialect = "openai"
    heartbeat = HEARTBEAT
    opens_before_first_token = False

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._stem = self._head = self._end = self._text_head = self._text_end = b""
        self._usage = b',"usage":null' if include_usage else b""
        self._known: dict[str, Any] = {}
        self._same: msgspec.Raw | None = None
        """The newest `extra` of a piece of text; most upstreams repeat it with each."""
        self._same_head = self._same_end = b""

    def encode(self, batch: Batch) -> bytes:
        """Return the chunks of the next batch, in one piece."""
        frames: list[bytes] = []
        for event in batch.events:
            if isinstance(event, Token):
                frames += (self._text_head, json_text(event.text), self._text_end)
            elif isinstance(event, Extended):
                frames.append(self._extended(event))
            else:
                frames.append(self._rare(event))
        return escape_line_separators(b"".join(frames))

    def error_frame(self, error: ChatError) -> bytes:
        """Return the error as the event that ends the stream; there is no `[DONE]` after it."""
        return errors.error_frame(error)

    def _rare(self, event: Start | Agent | Reasoning | ToolCall | ServerToolEvent | Complete | Failed) -> bytes:
        match event:
            case Start():
                return self._begin(event)
            case Reasoning() | ToolCall():
                return self._chunk(_delta(event))
            case ServerToolCall() | ServerToolResult() | RequiresAction():
                return b""
            case Agent():
                self._known |= {"model": MEMBER_PREFIX + event.name}
                self._compile()
                return b""
            case Complete():
                return self._finish(event)
            case Failed():
                return self.error_frame(as_error(event))
            case _:
                assert_never(event)

    def _begin(self, start: Start) -> bytes:
        self._known = {
            "id": completion_id(start.run),
            "object": "chat.completion.chunk",
            "created": start.created,
            "model": start.model,
        }
        self._compile()
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _compile(self) -> None:
        """Prepare what stands around each text."""
        self._stem = b"data: " + json_text(self._known)[:-1]
        self._head = self._stem + b',"choices":[{"index":0,"delta":'
        self._end = b',"logprobs":null,"finish_reason":null}]' + self._usage + b"}\n\n"
        self._text_head, self._text_end = self._head + b'{"content":', b"}" + self._end
        self._same = None

    def _extended(self, event: Extended) -> bytes:
        """Return the chunk of pieces with what came beside them; nothing when later chunks have that, too."""
        pieces = event.pieces
        text = pieces[0].text if len(pieces) == 1 and isinstance(pieces[0], Token) else None
        if text is not None and event.extra is self._same:
            return self._same_head + json_text(text) + self._same_end
        extra = Extra(event.extra)
        if lasting := extra.lasting():
            self._known |= lasting
            self._compile()
        top = self._stem + (b"," + json_text(extra.top)[1:-1] if extra.top else b"")
        others = b"".join(self._other(top, choice) for choice in extra.others)
        if not (pieces or extra.choice or extra.delta):
            return others or (top + b',"choices":[]' + self._usage + b"}\n\n" if extra.top else b"")
        choice = {"logprobs": None, "finish_reason": None} | extra.choice
        head = top + b',"choices":[{"index":0,"delta":'
        end = b"," + json_text(choice)[1:] + b"]" + self._usage + b"}\n\n"
        if text is None or "content" in extra.delta or others:
            delta: dict[str, Any] = {}
            for piece in pieces:
                delta = merged(delta, _delta(piece))
            return head + json_text(delta_with(delta, extra.delta)) + end + others
        rest = b"," + json_text(extra.delta)[1:] if extra.delta else b"}"
        self._same_head, self._same_end = head + b'{"content":', rest + end
        if not lasting:
            self._same = event.extra
        return self._same_head + json_text(text) + self._same_end

    def _other(self, top: bytes, choice: dict[str, Any]) -> bytes:
        """Return the chunk of a choice beside the first."""
        whole = {"index": choice["index"], "delta": {}, "logprobs": None, "finish_reason": None} | choice
        return top + b',"choices":[' + json_text(whole) + b"]" + self._usage + b"}\n\n"

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return self._head + json_text(delta) + self._end

    def _finish(self, complete: Complete) -> bytes:
        reason = json_text(_finish_reason(complete))
        last = self._head + b'{},"logprobs":null,"finish_reason":' + reason + b"}]" + self._usage
        last += b"".join(
            b',"%b":%b' % (name.encode(), json_text(value)) for name, value in _retrieved(complete).items()
        )
        last += b"}\n\n"
        if not self._include_usage:
            return last + DONE
        return last + self._stem + b',"choices":[],"usage":' + json_text(_whole_usage(complete)) + b"}\n\n" + DONE


def completion_id(run: str) -> str:
    """Return the vendor-style id of a run's completion."""
    return f"chatcmpl-{run}"


def completion_body(answer: CollectedCompletion, metadata: dict[str, str] | None) -> bytes:
    """Return a whole answer as a `chat.completion`, with the caller's own labels."""
    choice = {
        "index": 0,
        "message": _message(answer.reply),
        "logprobs": None,
        "finish_reason": _finish_reason(answer.complete),
    }
    body: dict[str, Any] = {
        "id": completion_id(answer.start.run),
        "object": "chat.completion",
        "created": answer.start.created,
        "model": answer.start.model,
        "choices": [choice],
        "usage": _whole_usage(answer.complete),
    }
    body |= _retrieved(answer.complete)
    if answer.extras:
        body = completed(body, answer.reply.calls_by_index, answer.extras)
    return json_text(body if metadata is None else body | {"metadata": metadata})


def _retrieved(complete: Complete) -> dict[str, Any]:
    """Return what a model was given of documents, beside the vendor's fields."""
    found = {"citations": msgspec.to_builtins(complete.citations), "retrieval": complete.retrieval}
    return {name: value for name, value in found.items() if value}


def model_object(name: str, shutdown_date: str | None = None) -> dict[str, Any]:
    """Return one model of the catalogue as the vendor lists it; when the vendor made it is not known here, hence 0."""
    known = {} if shutdown_date is None else {"shutdown_date": shutdown_date}
    return {"id": name, "object": "model", "created": 0, "owned_by": "chatfleet", **known}


def _message(reply: Reply) -> dict[str, Any]:
    calls = reply.tool_calls
    content = None if calls and not reply.text else reply.text
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    if calls:
        message["tool_calls"] = msgspec.to_builtins(calls)  # what came beside the common terms is added to them
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    return message


def _delta(piece: Piece) -> dict[str, Any]:
    match piece:
        case Token():
            return {"content": piece.text}
        case Reasoning():
            return {piece.field or "reasoning_content": piece.text}
        case ToolCall():
            return {"tool_calls": [_tool_call(piece)]}
        case _:
            assert_never(piece)


def _finish_reason(complete: Complete) -> str:
    """Return the upstream's own word where the client knows it, else one of the usual words."""
    own = (complete.extra or {}).get("finish_reason")
    return own if isinstance(own, str) else complete.finish_reason


def _whole_usage(complete: Complete) -> dict[str, Any]:
    return usage_with(_usage(complete.usage), (complete.extra or {}).get("usage"))


def _tool_call(call: ToolCall) -> dict[str, Any]:
    if call.custom:
        custom = {"name": call.name, "input": call.arguments}
        return {"index": call.index, "id": call.id, "type": "custom", "custom": custom}
    function = {"arguments": call.arguments} if call.name is None else {"name": call.name, "arguments": call.arguments}
    if call.id is None:
        return {"index": call.index, "function": function}
    return {"index": call.index, "id": call.id, "type": "function", "function": function}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
