"""The body of a chat completion, strictly in the terms that all vendors have in common.

Source of names, types and ranges: `openai` 3.52, `types/chat/completion_create_params.py`. A body with more in it does
not fit; `untranslated` takes it apart.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from chatfleet_api.domain.request import Role

_Name: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
_Unused: TypeAlias = Any
"""A parameter that only an upstream of this dialect gets."""


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class FunctionDefinition(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A function that the model may call."""

    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True, tag_field="type", tag="function", forbid_unknown_fields=True):
    """A tool that the model may use: a function."""

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


class TextContent(msgspec.Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Text within a message."""

    text: str


class ImageLocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image by URL or data URL."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImageContent(msgspec.Struct, frozen=True, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    """An image within a message."""

    image_url: ImageLocation


class RefusalPart(msgspec.Struct, frozen=True, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    """Text of an earlier answer that refused."""

    refusal: str


class CalledFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function that an earlier answer called; `arguments` is JSON text."""

    name: str
    arguments: str
    parsed_arguments: Any = None
    """The arguments once more, which helpers of the vendor's SDKs add and send back."""


class ToolCallBody(msgspec.Struct, frozen=True, tag_field="type", tag="function", forbid_unknown_fields=True):
    """A tool call of an earlier answer."""

    id: str
    function: CalledFunction
    index: int | None = None
    """Of its pieces in a stream, which some clients send back."""


class ChatMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message, also one that an earlier answer gave back (hence fields that only answers have)."""

    role: Role
    content: str | list[TextContent | ImageContent | RefusalPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCallBody] | None = None
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
    # Hints: they may make an answer cheaper or faster, and do not change it. Other dialects have none.
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    # Everywhere with the values of `untranslated.NEUTRAL`; an upstream of this dialect gets any value.
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    store: bool | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    # An upstream of this dialect alone.
    audio: _Unused = None
    function_call: _Unused = None
    functions: _Unused = None
    logit_bias: _Unused = None
    moderation: _Unused = None
    prediction: _Unused = None
    web_search_options: _Unused = None
