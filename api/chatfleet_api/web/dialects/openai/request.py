"""What a client of the OpenAI chat completions API sends: the body, checked and turned into a `ChatRequest`.

Source of names, types and ranges: `openai` 3.52, `types/chat/completion_create_params.py`. Every parameter is
forwarded, applied here, a hint that changes no answer, or rejected by name; none is silently dropped.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest, ImagePart, Message, MessageToolCall, Role, TextPart
from chatfleet_api.web.body import decode_body, limit_depth, stream_field
from chatfleet_api.web.supported import LOG_PROBABILITIES, PADDING, SERVICE_TIER, Supported, reject_unsupported

_Name: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
_Unused: TypeAlias = Any
"""A parameter that is decoded only to be rejected."""


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class FunctionDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that the model may call."""

    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    """A tool that the model may use; only functions are known."""

    function: FunctionDefinition


class FunctionChoice(msgspec.Struct, frozen=True):
    """The function that the model must call."""

    name: _Name


class ToolChoice(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    """Demand for one certain tool."""

    function: FunctionChoice


class TextFormat(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Answer in free text."""


class JSONFormat(msgspec.Struct, frozen=True, tag_field="type", tag="json_object"):
    """Answer with a JSON object."""


class JSONSchema(msgspec.Struct, frozen=True, omit_defaults=True):
    """The shape of a JSON answer."""

    name: _Name
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class JSONSchemaFormat(msgspec.Struct, frozen=True, tag_field="type", tag="json_schema"):
    """Answer with JSON of a given shape."""

    json_schema: JSONSchema


class RefusalPart(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """Text of an earlier answer that refused."""

    refusal: str


class ChatMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message, also one that an earlier answer gave back (hence fields that only answers have)."""

    role: Role
    content: str | list[TextPart | ImagePart | RefusalPart] | None = None
    name: str | None = None
    tool_calls: list[MessageToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    annotations: list[Any] | None = None
    parsed: Any = None
    """The content once more, which helpers of the vendor's SDKs add and send back."""
    audio: _Unused = None
    function_call: _Unused = None


class ChatCompletionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/chat/completions`."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    messages: Annotated[list[ChatMessage], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    stop: str | Annotated[list[str], msgspec.Meta(max_length=4)] | None = None
    seed: int | None = None
    presence_penalty: Annotated[float, msgspec.Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, msgspec.Meta(ge=-2, le=2)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: TextFormat | JSONFormat | JSONSchemaFormat | None = None
    tools: Annotated[list[Tool], msgspec.Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: Annotated[dict[str, str], msgspec.Meta(max_length=16)] | None = None
    # Hints: they may make an answer cheaper or faster, and do not change it.
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    # Accepted with the values of `_SUPPORTED`.
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    store: bool | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    # Not supported.
    audio: _Unused = None
    function_call: _Unused = None
    functions: _Unused = None
    logit_bias: _Unused = None
    moderation: _Unused = None
    prediction: _Unused = None
    web_search_options: _Unused = None


class CompletionRequest(NamedTuple):
    """A request, and the form of its response."""

    request: ChatRequest
    stream: bool
    include_usage: bool
    metadata: dict[str, str] | None
    """The caller's labels, returned with a response that is not streamed."""


_BODY: Final = msgspec.json.Decoder(ChatCompletionBody)
_SUPPORTED: Final = (
    Supported("n", (1,), "Only one choice is supported. Omit 'n' or set it to 1."),
    Supported("logprobs", (False,), "Log probabilities are not supported. Omit 'logprobs'."),
    LOG_PROBABILITIES,
    Supported(
        "store",
        (False,),
        "Chat completions are not stored. Omit 'store', or use a conversation (/api/v1/conversations).",
    ),
    SERVICE_TIER,
    PADDING,
    Supported("verbosity", ("medium",), "Omit 'verbosity', and request the length in a message."),
    Supported("modalities", (["text"],), "Only text output is supported. Omit 'modalities' or set it to [\"text\"]."),
    Supported("audio", (), "Only text output is supported. Omit 'audio'."),
    Supported("functions", ([],), "Use 'tools' instead of 'functions'."),
    Supported("function_call", ("none", "auto"), "Use 'tool_choice' instead of 'function_call'."),
    Supported("logit_bias", ({},), "Omit 'logit_bias'."),
    Supported("moderation", (), "Omit 'moderation'."),
    Supported("prediction", (), "Omit 'prediction'."),
    Supported("web_search_options", (), "Web search is not supported. Omit 'web_search_options'."),
)


def read_completion(raw: bytes) -> CompletionRequest:
    """Parse and check the body; raises `ChatError(INVALID_REQUEST)` that names the parameter and the remedy."""
    body = decode_body(raw, _BODY)
    _reject_unsupported(body)
    options = body.stream_options or StreamOptions()
    return CompletionRequest(_request(body), bool(body.stream), bool(options.include_usage), body.metadata)


def wants_stream(_accept: str, body: bytes) -> bool:
    """Return whether the body requests a stream, as `read_completion` decides it; an invalid body requests none."""
    return bool(stream_field(body))


def _reject_unsupported(body: ChatCompletionBody) -> None:
    reject_unsupported(body, _SUPPORTED)
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise _invalid(
            "max_tokens",
            "'max_tokens' and 'max_completion_tokens' exclude each other. Use 'max_completion_tokens'.",
        )
    if not body.stream and body.stream_options is not None and body.stream_options.include_usage:
        raise _invalid("stream_options", "'stream_options' is only allowed when 'stream' is true.")


def _request(body: ChatCompletionBody) -> ChatRequest:
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return ChatRequest(
        model=body.model,
        messages=tuple(_message(message, f"messages[{index}]") for index, message in enumerate(body.messages)),
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens,
        stop=stop,
        seed=body.seed,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        reasoning_effort=body.reasoning_effort,
        response_format=_free(body.response_format, "response_format"),
        tools=tuple(_free(tool, f"tools[{index}]") for index, tool in enumerate(body.tools or ())),
        tool_choice=body.tool_choice if isinstance(body.tool_choice, str) else _free(body.tool_choice, "tool_choice"),
        parallel_tool_calls=body.parallel_tool_calls,
        user=body.user or body.safety_identifier,
    )


def _free(value: msgspec.Struct | None, param: str) -> Any:  # noqa: ANN401  # JSON of the vendor's, handed on as it is
    free = msgspec.to_builtins(value)
    limit_depth(free, param)
    return free


def _message(message: ChatMessage, param: str) -> Message:
    """Return the message as a model gets it: of an earlier answer, the text and the tool calls."""
    if message.audio is not None or message.function_call is not None:
        unused = "audio" if message.audio is not None else "function_call"
        raise _invalid(f"{param}.{unused}", f"Unsupported value: '{param}.{unused}'. Use text and tool_calls.")
    content = message.refusal if message.content is None and message.role == "assistant" else message.content
    if content is None and not (message.role == "assistant" and message.tool_calls):
        raise _invalid(
            f"{param}.content",
            f"Missing required parameter: '{param}.content'. Only an assistant message with tool calls may omit it.",
        )
    if message.role == "tool" and not message.tool_call_id:
        raise _invalid(
            f"{param}.tool_call_id",
            f"Missing required parameter: '{param}.tool_call_id'. Set it to the id of the tool call.",
        )
    return Message(message.role, _content(content), message.name, message.tool_calls, message.tool_call_id)


def _content(content: str | list[TextPart | ImagePart | RefusalPart] | None) -> str | list[TextPart | ImagePart] | None:
    if not isinstance(content, list):
        return content
    return [TextPart(part.refusal) if isinstance(part, RefusalPart) else part for part in content]


def _invalid(param: str, message: str) -> ChatError:
    return ChatError(Code.INVALID_REQUEST, message, param=param)
