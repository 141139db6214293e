"""How the scripted upstream reads requests and answers them, in each wire format. Pure."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import msgspec
from typing_extensions import override

from harness.upstream.event_stream import event_frame
from harness.upstream.wires import AnthropicWire, BedrockWire, OpenAIWire, ResponsesWire, Wire, event

GARBAGE: Final = b'data: {"choices": [{"delta": {"content": \n\n'


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


class Request(msgspec.Struct, frozen=True):
    """What the upstream is asked, in any wire format."""

    model: str
    messages: list[Message]
    stream: bool = False
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
    """The vendor's last word."""
    error: bytes
    """An error, as it comes inside a stream."""
    unreasoned: bytes
    """The last word of an answer without a reason to finish."""

    @classmethod
    def of(cls, wire: Wire, pieces: list[str], error: str) -> "Frames":
        """Return the events of an answer of these pieces; `error` is the type of an error."""
        *finish, goodbye = wire.finish(len(pieces))
        tokens = tuple(map(wire.token, pieces))
        return cls(b"".join(wire.begin()), tokens, b"".join(finish), goodbye, wire.error(error), goodbye)


class WireFormat(Protocol):
    """What a vendor accepts, and how it answers or refuses."""

    @property
    def media_type(self) -> str:
        """Return the content type of a stream."""
        ...

    @property
    def garbage(self) -> bytes:
        """Return an event that cannot be read."""
        ...

    def request(self, body: bytes, model: str) -> Request:
        """Return the request in `body`; raises `ValueError` when it is none. `model` is the one in the path, if any."""
        ...

    def prefix(self, request: Request) -> str:
        """Return what the answer already has; raises `RefusedError` for what the vendor would refuse."""
        ...

    def frames(self, pieces: list[str]) -> Frames:
        """Return the events of an answer of these pieces."""
        ...

    def error_body(self, status: int, message: str) -> bytes:
        """Return the body of an HTTP error."""
        ...


class ServerSentEvents:
    """What formats over server-sent events share."""

    media_type = "text/event-stream"
    garbage = GARBAGE

    def request(self, body: bytes, model: str) -> Request:  # noqa: ARG002  # it is in the body, too
        """Return the request."""
        return msgspec.json.decode(body, type=Request)


class OpenAIFormat(ServerSentEvents):
    """OpenAI's chat completions, and those who imitate them."""

    def prefix(self, request: Request) -> str:
        """Return the assistant's last message when the request asks, in vLLM's way, to continue that."""
        if not request.continue_final_message:
            return ""
        if request.add_generation_prompt or request.last.role != "assistant":
            raise RefusedError("continue_final_message needs the assistant's message last and no add_generation_prompt")
        return request.last.text

    def frames(self, pieces: list[str]) -> Frames:
        """Return the chunks."""
        return Frames.of(OpenAIWire(), pieces, "server_error")

    def error_body(self, status: int, message: str) -> bytes:
        """Return the vendor's error object."""
        kind = "rate_limit_error" if status == 429 else "server_error"
        return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": None}})


class _Response(msgspec.Struct, frozen=True):
    """A request of the Responses API."""

    model: str
    input: list[Message]
    store: bool
    stream: bool = False
    max_output_tokens: int | None = None


class ResponsesFormat(OpenAIFormat):
    """OpenAI's Responses API."""

    @override
    def request(self, body: bytes, model: str) -> Request:
        """Return the body in terms of messages; nothing may be stored here."""
        sent = msgspec.json.decode(body, type=_Response)
        if sent.store:
            raise RefusedError("this upstream stores nothing")
        return Request(sent.model, sent.input, sent.stream, sent.max_output_tokens)

    @override
    def frames(self, pieces: list[str]) -> Frames:
        """Return the events."""
        response = {"id": "resp_1", "object": "response", "status": "incomplete", "model": "x", "output": []}
        last = {"type": "response.incomplete", "sequence_number": 12, "response": response}
        unreasoned = event(last, "response.incomplete")
        return Frames.of(ResponsesWire(), pieces, "server_error")._replace(unreasoned=unreasoned)


class AnthropicFormat(ServerSentEvents):
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

    def frames(self, pieces: list[str]) -> Frames:
        """Return the events."""
        return Frames.of(AnthropicWire(), pieces, "overloaded_error")

    def error_body(self, status: int, message: str) -> bytes:
        """Return the vendor's error object."""
        kind = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


class BedrockFormat:
    """Bedrock's ConverseStream."""

    media_type = BedrockWire.media_type
    garbage = event_frame("contentBlockDelta", b'{"delta": {"text": ')

    def request(self, body: bytes, model: str) -> Request:
        """Return the request, whose path has the model and the wish for a stream."""
        request = msgspec.json.decode(body, type=_Conversed)
        return Request(model, request.messages, stream=True)

    def prefix(self, request: Request) -> str:
        """Return the assistant's last message, which models of Anthropic continue here, too."""
        return request.last.text if request.last.role == "assistant" else ""

    def frames(self, pieces: list[str]) -> Frames:
        """Return the events."""
        return Frames.of(BedrockWire(), pieces, "overloaded_error")

    def error_body(self, status: int, message: str) -> bytes:  # noqa: ARG002  # the status says it
        """Return the vendor's error object."""
        return msgspec.json.encode({"message": message})


class _Conversed(msgspec.Struct, frozen=True):
    messages: list[Message]


FORMATS: Final[Mapping[type[Wire], Callable[[], WireFormat]]] = MappingProxyType(
    {
        OpenAIWire: OpenAIFormat,
        ResponsesWire: ResponsesFormat,
        AnthropicWire: AnthropicFormat,
        BedrockWire: BedrockFormat,
    }
)
"""By the class of the wire. Vendors that write alike share a class."""


def format_of(wire: Wire) -> WireFormat:
    """Return the wire format of `wire`."""
    return FORMATS[type(wire)]()
