"""How each vendor writes an answer, and at which paths, so that one test can be run against all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
from typing_extensions import override

from chatfleet_contract.spec.provider_types import API, ProviderType
from harness.upstream.event_stream import MEDIA_TYPE, event_frame, exception_frame, oversized
from harness.upstream.fake import EVENT_STREAM, Handler, Reply

WORDS = ("One", " two", " three", " fünf")
INPUT_TOKENS: Final = 7
"""Which each of these answers says that its question had."""


class Wire(Protocol):
    """One vendor's way to write."""

    @property
    def type(self) -> ProviderType:
        """Return the type of provider that writes so."""
        ...

    @property
    def name(self) -> str:
        """Return a short name of the type, as a provider may have it."""
        ...

    @property
    def settings(self) -> Mapping[str, object]:
        """Return the settings that this type alone requires, as `RuntimeProvider` has them."""
        ...

    @property
    def base_path(self) -> str:
        """Return what stands in `baseURL` between the host and the vendor's own paths."""
        ...

    @property
    def path(self) -> str:
        """Return the path of the request for an answer, below `base_path`; `{model}` stands for the model's name."""
        ...

    @property
    def models_path(self) -> str:
        """Return the path of the list of models, below `base_path`."""
        ...

    @property
    def media_type(self) -> str:
        """Return the content type of a stream."""
        ...

    @property
    def preamble(self) -> bytes:
        """Return what may come before the first event."""
        ...

    @property
    def nothing(self) -> bytes:
        """Return what may come at any time and brings nothing."""
        ...

    @property
    def nonsense(self) -> list[bytes]:
        """Return data that cannot be read, in kinds."""
        ...

    @property
    def foreign(self) -> bytes:
        """Return an event of another protocol."""
        ...

    @property
    def endless(self) -> bytes:
        """Return the beginning of an event that is longer than any."""
        ...

    def begin(self) -> list[bytes]:
        """Return the events before the first token."""
        ...

    def token(self, text: str) -> bytes:
        """Return the event of a token."""
        ...

    def escaped(self, text: bytes) -> bytes:
        """Return the event of a token whose text is written so in JSON."""
        ...

    def finish(self, output_tokens: int = 4) -> list[bytes]:
        """Return the events that end an answer which used `INPUT_TOKENS`; the last is the vendor's last word."""
        ...

    def error(self, kind: str) -> bytes:
        """Return an error inside the stream, of this `type`."""
        ...


class ServerSentEvents:
    """What wires over server-sent events share."""

    media_type = EVENT_STREAM
    preamble = b"\xef\xbb\xbf: comment\n\ndata:\n\n"
    nothing = b": still thinking\n\n"
    foreign = b'data: {"level":"info"}\n\n'
    endless = b"data: "

    @property
    def nonsense(self) -> list[bytes]:
        """Return data that is no JSON, no event, and no text."""
        return [b"data: {nonsense\n\n", b'data: {"type":1,"choices":7}\n\n', b'data: "\xff"\n\n']

    def token(self, text: str) -> bytes:
        """Return the event of a token."""
        raise NotImplementedError

    def escaped(self, text: bytes) -> bytes:
        """Return the event of a token whose text is written so in JSON."""
        return self.token("X").replace(b'"X"', b'"' + text + b'"')


def event(data: dict[str, Any], name: str = "") -> bytes:
    """Return one server-sent event."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


@dataclass(frozen=True)
class OpenAIWire(ServerSentEvents):
    """OpenAI's chunks."""

    name: str = "openai"
    type: ProviderType = ProviderType.OPENAI
    base_path: str = "/v1"
    settings: Mapping[str, object] = field(default_factory=dict)
    path: str = "/chat/completions"
    models_path: str = "/models"

    def begin(self) -> list[bytes]:
        """Return the chunk with the role."""
        return [self._chunk({"role": "assistant", "content": "", "refusal": None})]

    @override
    def token(self, text: str) -> bytes:
        """Return a chunk with text."""
        return self._chunk({"content": text})

    def finish(self, output_tokens: int = 4) -> list[bytes]:
        """Return the chunk with the reason, the one with the usage, and the mark of the end."""
        usage = {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": output_tokens,
            "total_tokens": INPUT_TOKENS + output_tokens,
        }
        last = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage}
        return [self._chunk({}, "stop"), event(last), b"data: [DONE]\n\n"]

    def error(self, kind: str) -> bytes:
        """Return a chunk that is an error."""
        return event({"error": {"message": "It broke.", "type": kind, "param": None, "code": None}})

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "x"}
        return event({**head, "choices": [choice], "usage": None})


@dataclass(frozen=True)
class AnthropicWire(ServerSentEvents):
    """Anthropic's events."""

    name: str = "anthropic"
    type: ProviderType = ProviderType.ANTHROPIC
    base_path: str = "/anthropic"
    settings: Mapping[str, object] = field(default_factory=dict)
    path: str = "/v1/messages"
    models_path: str = "/v1/models"

    def begin(self) -> list[bytes]:
        """Return the start of the message and of its one block of text, with a ping between."""
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "x"}
        usage = {"input_tokens": INPUT_TOKENS, "cache_read_input_tokens": 0, "output_tokens": 1}
        return [
            self._event({"type": "message_start", "message": {**message, "usage": usage}}),
            self._event({"type": "ping"}),
            self._event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ]

    @override
    def token(self, text: str) -> bytes:
        """Return a delta of text."""
        return self._event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})

    def finish(self, output_tokens: int = 4) -> list[bytes]:
        """Return the end of the block, the reason with the usage, and the end of the message."""
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        return [
            self._event({"type": "content_block_stop", "index": 0}),
            self._event({"type": "message_delta", "delta": delta, "usage": {"output_tokens": output_tokens}}),
            self._event({"type": "message_stop"}),
        ]

    def error(self, kind: str) -> bytes:
        """Return an error event."""
        return self._event({"type": "error", "error": {"type": kind, "message": "It broke."}})

    def _event(self, data: dict[str, Any]) -> bytes:
        return event(data, data["type"])


@dataclass(frozen=True)
class ResponsesWire(ServerSentEvents):
    """Events of OpenAI's Responses API."""

    name: str = "responses"
    type: ProviderType = ProviderType.OPENAI
    base_path: str = "/v1"
    settings: Mapping[str, object] = field(default_factory=lambda: {"api": "responses"})
    path: str = "/responses"
    models_path: str = "/models"

    def begin(self) -> list[bytes]:
        """Return the start of the response, of its one message and of its one part."""
        response = {"id": "resp_1", "object": "response", "status": "in_progress", "model": "x", "output": []}
        item = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return [
            self._event({"type": "response.created", "sequence_number": 0, "response": response}),
            self._event({"type": "response.in_progress", "sequence_number": 1, "response": response}),
            self._event({"type": "response.output_item.added", "sequence_number": 2, "output_index": 0, "item": item}),
            self._event({"type": "response.content_part.added", "sequence_number": 3, **self._place(), "part": part}),
        ]

    @override
    def token(self, text: str) -> bytes:
        """Return a delta of text."""
        head = {"type": "response.output_text.delta", "sequence_number": 4, **self._place()}
        return self._event({**head, "delta": text, "logprobs": [], "obfuscation": "x7Yz"})

    def finish(self, output_tokens: int = 4) -> list[bytes]:
        """Return the ends of the part and the message, and that of the response with its usage."""
        part = {"type": "output_text", "text": "".join(WORDS), "annotations": [], "logprobs": []}
        item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
        usage = {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + output_tokens,
        }
        head = {"id": "resp_1", "object": "response", "status": "completed", "model": "x"}
        done = {"type": "response.output_text.done", "sequence_number": 9, **self._place(), "text": part["text"]}
        return [
            self._event({**done, "logprobs": []}),
            self._event({"type": "response.content_part.done", "sequence_number": 10, **self._place(), "part": part}),
            self._event({"type": "response.output_item.done", "sequence_number": 11, "output_index": 0, "item": item}),
            self._event(
                {
                    "type": "response.completed",
                    "sequence_number": 12,
                    "response": {**head, "output": [item], "usage": usage},
                }
            ),
        ]

    def error(self, kind: str) -> bytes:
        """Return an error event, which is flat."""
        return self._event({"type": "error", "sequence_number": 9, "code": kind, "message": "It broke.", "param": None})

    def _place(self) -> dict[str, Any]:
        return {"item_id": "msg_1", "output_index": 0, "content_index": 0}

    def _event(self, data: dict[str, Any]) -> bytes:
        return event(data, data["type"])


@dataclass(frozen=True)
class BedrockWire:
    """Events of Bedrock's ConverseStream, in frames."""

    name: str = "bedrock"
    type: ProviderType = ProviderType.BEDROCK
    base_path: str = "/bedrock"
    settings: Mapping[str, object] = field(default_factory=lambda: {"bedrock": {"region": "eu-central-1"}})
    path: str = "/model/{model}/converse-stream"
    models_path: str = "/async-invoke"
    media_type: str = MEDIA_TYPE
    preamble: bytes = event_frame("initial-response", b"")
    nothing: bytes = event_frame("keepAlive", {})
    foreign: bytes = event_frame("records", {"level": "info"})
    endless: bytes = oversized()

    @property
    def nonsense(self) -> list[bytes]:
        """Return an event that is no JSON, one with a wrong checksum, and no frame."""
        spoiled = bytearray(self.token("X"))
        spoiled[-6] ^= 1
        return [event_frame("contentBlockDelta", b"{nonsense"), bytes(spoiled), b"data: {nonsense\n\n"]

    def begin(self) -> list[bytes]:
        """Return the start of the message; a block of text has none."""
        return [event_frame("messageStart", {"p": "abcd", "role": "assistant"})]

    def token(self, text: str) -> bytes:
        """Return a delta of text."""
        delta = {"contentBlockIndex": 0, "delta": {"text": text}, "p": "abcdefghijklm"}
        return event_frame("contentBlockDelta", delta)

    def escaped(self, text: bytes) -> bytes:
        """Return a delta of text that is written so."""
        return event_frame("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"' + text + b'"}}')

    def finish(self, output_tokens: int = 4) -> list[bytes]:
        """Return the end of the block, the reason, and after it the usage."""
        usage = {
            "inputTokens": INPUT_TOKENS,
            "outputTokens": output_tokens,
            "totalTokens": INPUT_TOKENS + output_tokens,
        }
        return [
            event_frame("contentBlockStop", {"contentBlockIndex": 0, "p": "abc"}),
            event_frame("messageStop", {"p": "ab", "stopReason": "end_turn"}),
            event_frame("metadata", {"metrics": {"latencyMs": 120}, "usage": usage}),
        ]

    def error(self, kind: str) -> bytes:
        """Return an exception."""
        named = {"overloaded_error": "serviceUnavailableException", "rate_limit_error": "throttlingException"}
        return exception_frame(named.get(kind, "internalServerException"), {"message": "It broke."})


AZURE: Final = OpenAIWire(
    "azure",
    ProviderType.AZURE_OPENAI,
    "",
    {"azure": {"apiVersion": "2024-10-21"}},
    path="/openai/deployments/{model}/chat/completions",
    models_path="/openai/models",
)

AZURE_V1: Final = OpenAIWire("azure-v1", ProviderType.AZURE_OPENAI, "/openai/v1")
"""Azure without a dated version of its API."""

WIRES: tuple[Wire, ...] = (
    OpenAIWire(),
    AZURE,
    OpenAIWire("compatible", ProviderType.OPENAI_COMPATIBLE),
    ResponsesWire(),
    AnthropicWire(),
    BedrockWire(),
)
"""One for each API of each provider type with an upstream. Tests, scripted upstream and chaos scenarios follow it."""


def wire_of(kind: ProviderType, api: API = "chat") -> Wire:
    """Return the wire of a provider type that has an upstream."""
    return next(wire for wire in WIRES if wire.type is kind and wire.settings.get("api", "chat") == api)


def whole(wire: Wire, words: Sequence[str] = WORDS) -> list[bytes]:
    """Return all events of an answer."""
    return [*wire.begin(), *map(wire.token, words), *wire.finish()]


def answering(wire: Wire, words: Sequence[str] = WORDS) -> Handler:
    """Return the script of a whole answer, one event at a time."""

    async def script(reply: Reply) -> None:
        await reply.head(content_type=wire.media_type)
        for one in whole(wire, words):
            await reply.send(one)
        await reply.end()

    return script


def refusing(status: int, body: bytes = b"{}", **headers: str) -> Handler:
    """Return the script of a refusal."""

    async def script(reply: Reply) -> None:
        await reply.head(status, "application/json", **headers)
        await reply.send(body)
        await reply.end()

    return script
