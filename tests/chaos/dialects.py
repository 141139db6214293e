"""What the vendors of language models send, and what they are sent: as much of both dialects as a scripted answer needs. Pure.

Formats: OpenAI's chat completions (`openai` 3.51, `types/chat/chat_completion_chunk.py`) and Anthropic's messages
(`anthropic` 2.8, `types/raw_message_stream_event.py`). Written apart from the product's own, so that one checks the other.
"""

from typing import Any, NamedTuple, Protocol

import msgspec


class RefusedError(ValueError):
    """The request is not one that the vendor would answer; the message says why."""


class Text(msgspec.Struct, frozen=True):
    """A piece of a message in parts."""

    text: str = ""


class Message(msgspec.Struct, frozen=True):
    """A message of the request."""

    role: str
    content: str | list[Text] | None = None

    @property
    def text(self) -> str:
        """Its text."""
        content = self.content or ""
        return content if isinstance(content, str) else "".join(part.text for part in content)


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of OpenAI's dialect."""

    include_usage: bool = False


class Request(msgspec.Struct, frozen=True):
    """What the upstream is asked, in either dialect."""

    model: str
    messages: list[Message]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    continue_final_message: bool = False
    add_generation_prompt: bool = True

    @property
    def question(self) -> str:
        """The last thing that the user said."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")

    @property
    def last(self) -> Message:
        """The last message."""
        return self.messages[-1]


class Frames(NamedTuple):
    """The events of one streamed answer, as bytes."""

    opening: bytes
    tokens: tuple[bytes, ...]
    finish: bytes
    """The reason to finish, and the usage."""
    goodbye: bytes
    """The dialect's last word."""
    error: bytes
    """An error, as it comes inside a stream."""


class Dialect(Protocol):
    """The part of a vendor's API that differs from the other's."""

    def prefix(self, request: Request) -> str:
        """Return what the answer already has; raises `RefusedError` when it cannot be continued."""
        ...

    def frames(self, request: Request, pieces: list[str]) -> Frames:
        """Return the events of an answer of these pieces."""
        ...

    def error_body(self, status: int, message: str) -> bytes:
        """Return the body of an HTTP error."""
        ...


class OpenAI:
    """OpenAI's chat completions, and those who imitate them."""

    def prefix(self, request: Request) -> str:
        """Return the assistant's last message when the request asks, as vLLM has it, to continue that."""
        if not request.continue_final_message:
            return ""
        if request.add_generation_prompt or request.last.role != "assistant":
            raise RefusedError("continue_final_message needs a last message of the assistant and no add_generation_prompt")
        return request.last.text

    def frames(self, request: Request, pieces: list[str]) -> Frames:
        """Return the chunks."""
        usage = {"prompt_tokens": 10, "completion_tokens": len(pieces), "total_tokens": 10 + len(pieces)}
        wanted = request.stream_options is not None and request.stream_options.include_usage
        return Frames(
            self._choice(request, {"role": "assistant", "content": ""}),
            tuple(self._choice(request, {"content": piece}) for piece in pieces),
            self._choice(request, {}, "stop") + (self._chunk(request, choices=[], usage=usage) if wanted else b""),
            b"data: [DONE]\n\n",
            _data({"error": {"message": "scripted", "type": "server_error", "param": None, "code": None}}),
        )

    def error_body(self, status: int, message: str) -> bytes:
        """Return the vendor's error object."""
        kind = "rate_limit_error" if status == 429 else "server_error"  # noqa: PLR2004  # HTTP's own number
        return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": None}})

    def _choice(self, request: Request, delta: dict[str, str], reason: str | None = None) -> bytes:
        return self._chunk(request, choices=[{"index": 0, "delta": delta, "finish_reason": reason}])

    def _chunk(self, request: Request, **fields: object) -> bytes:
        known = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": request.model}
        return _data({**known, **fields})


class Anthropic:
    """Anthropic's messages."""

    def prefix(self, request: Request) -> str:
        """Return the assistant's last message, which this vendor always continues."""
        if request.max_tokens is None:
            raise RefusedError("max_tokens: Field required")
        if request.last.role != "assistant":
            return ""
        if request.last.text != request.last.text.rstrip():
            raise RefusedError("messages: final assistant content cannot end with trailing whitespace")
        return request.last.text

    def frames(self, request: Request, pieces: list[str]) -> Frames:
        """Return the events."""
        message = {
            **{"id": "msg_1", "type": "message", "role": "assistant", "model": request.model, "content": []},
            **{"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1}},
        }
        return Frames(
            _event("message_start", message=message)
            + _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            + _event("ping"),
            tuple(
                _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in pieces
            ),
            _event("content_block_stop", index=0)
            + _event(
                "message_delta",
                delta={"stop_reason": "end_turn", "stop_sequence": None},
                usage={"output_tokens": len(pieces)},
            ),
            _event("message_stop"),
            _event("error", error={"type": "overloaded_error", "message": "scripted"}),
        )

    def error_body(self, status: int, message: str) -> bytes:
        """Return the vendor's error object."""
        kind = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def _event(name: str, **fields: Any) -> bytes:  # noqa: ANN401  # JSON
    return b"event: " + name.encode() + b"\n" + _data({"type": name, **fields})


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
