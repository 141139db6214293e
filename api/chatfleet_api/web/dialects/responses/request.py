"""What a client of the OpenAI Responses API sends, as far as it is about text, checked and made a `ChatRequest`.

Source of names and ranges: `openai` 3.51, `types/responses/response_create_params.py`. What is not supported
is rejected by its name; values that change nothing are accepted.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.web.body import decode_body, stream_field

_Nothing: TypeAlias = Annotated[list[Any], msgspec.Meta(max_length=0)]


class InputText(msgspec.Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text within a message of the input."""

    text: str


class OutputText(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text that an earlier answer gave."""

    text: str


class InputMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message of the input, also one that an earlier answer gave back."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | OutputText]
    type: Literal["message"] = "message"
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class ReasoningOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the model is to reason."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


class ResponseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/responses`."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    input: str | Annotated[list[InputMessage], msgspec.Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    reasoning: ReasoningOptions | None = None
    user: str | None = None
    safety_identifier: str | None = None
    # Hints: they may make an answer cheaper or faster, and do not change it.
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    # Accepted with these values only.
    tools: _Nothing | None = None
    include: _Nothing | None = None
    metadata: Annotated[dict[str, str], msgspec.Meta(max_length=0)] | None = None
    tool_choice: Literal["auto", "none"] | None = None
    parallel_tool_calls: bool | None = None
    truncation: Literal["disabled"] | None = None
    service_tier: Literal["auto", "default"] | None = None


class ResponseRequest(NamedTuple):
    """A request, and the form of its response."""

    request: ChatRequest
    stream: bool
    background: bool
    """Whether the response is written to its end although its client disconnects."""
    store: bool
    """Whether it can be retrieved later."""


_BODY: Final = msgspec.json.Decoder(ResponseBody)


def read_response(raw: bytes) -> ResponseRequest:
    """Parse and check the body; raises `ChatError(INVALID_REQUEST)` that names the parameter and the remedy."""
    body = decode_body(raw, _BODY)
    if body.background and body.store is False:
        message = "'background' requires 'store': a background response is retrieved later. Omit 'store'."
        raise ChatError(Code.INVALID_REQUEST, message, param="store")
    request = ChatRequest(
        body.model,
        _messages(body),
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_output_tokens,
        reasoning_effort=body.reasoning.effort if body.reasoning else None,
        user=body.user or body.safety_identifier,
    )
    return ResponseRequest(request, bool(body.stream), bool(body.background), body.store is not False)


def wants_stream(_accept: str, body: bytes) -> bool:
    """Return whether the body requests a stream, as `read_response` decides it; an invalid body requests none."""
    return bool(stream_field(body))


def _messages(body: ResponseBody) -> tuple[Message, ...]:
    instructions = (Message("system", body.instructions),) if body.instructions else ()
    if isinstance(body.input, str):
        return (*instructions, Message("user", body.input))
    return (*instructions, *(Message(each.role, _text(each)) for each in body.input))


def _text(message: InputMessage) -> str:
    return message.content if isinstance(message.content, str) else "".join(part.text for part in message.content)
