"""What a client of the OpenAI Responses API sends, made a `ChatRequest`.

Source of names and ranges: `openai` 3.51, `types/responses/response_create_params.py`. What is not supported
is rejected by its name, here or, if some upstreams have it, by the others; values that change nothing are accepted.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.responses import NewResponse, ResponseKey
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import ANONYMOUS, Principal
from chatfleet_api.domain.request import CHAT, RESPONSES, ChatRequest, Message, Sent, Untranslated
from chatfleet_api.web.body import convert_body, decode_body, stream_field
from chatfleet_api.web.dialects.responses.echo import echo_of
from chatfleet_api.web.dialects.responses.ids import read_conversation_id, read_response_id
from chatfleet_api.web.dialects.responses.include import LOG_PROBABILITIES as PROBABILITIES
from chatfleet_api.web.dialects.responses.include import beyond as beyond_include
from chatfleet_api.web.dialects.responses.input import read_items
from chatfleet_api.web.dialects.responses.reasoning import ReasoningOptions
from chatfleet_api.web.dialects.responses.reasoning import beyond as beyond_reasoning
from chatfleet_api.web.dialects.responses.text import TextOptions, response_format
from chatfleet_api.web.dialects.responses.tools import read_tools
from chatfleet_api.web.dialects.responses.untranslated import common_part
from chatfleet_api.web.supported import LOG_PROBABILITIES, PADDING, SERVICE_TIER, Supported, unsupported

_Checked: TypeAlias = Any
"""A parameter of which `_SUPPORTED` knows the values that are accepted."""
_Key: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
Metadata: TypeAlias = Annotated[dict[_Key, Annotated[str, msgspec.Meta(max_length=512)]], msgspec.Meta(max_length=16)]
"""Up to 16 pairs of texts, as the vendor allows."""


class ImageOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How images of the input are compressed."""

    context_compression: _Checked = None


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a streamed response."""

    include_obfuscation: bool | None = None


class ConversationParam(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The conversation that a response is made in."""

    id: str


class ResponseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/responses`."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    input: str | list[dict[str, Any]] | None = None
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
    client_metadata: dict[str, Any] | None = None  # labels by which Codex finds its own requests again
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = None
    # Accepted with the values of `_SUPPORTED`.
    text: TextOptions | None = None
    stream_options: StreamOptions | None = None
    top_logprobs: int | None = None
    tools: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    include: Annotated[list[str], msgspec.Meta(max_length=32)] | None = None
    metadata: Metadata | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: str | None = None
    context_management: _Checked = None
    image: ImageOptions | None = None
    access_programs: _Checked = None
    conversation: str | ConversationParam | None = None
    previous_response_id: str | None = None
    prompt: _Checked = None
    moderation: _Checked = None


class ResponseRequest(NamedTuple):
    """A request, and the form of its response."""

    new: NewResponse
    stream: bool


_NESTED: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
    {"reasoning": ReasoningOptions, "image": ImageOptions, "stream_options": StreamOptions, "text": TextOptions}
)
_BODY: Final = msgspec.json.Decoder(ResponseBody)
_IN_OPENAIS: Final = (
    Supported("text.verbosity", ("medium",), "Omit it, and request the length in a message."),
    SERVICE_TIER,
    LOG_PROBABILITIES,
)
"""Parameters that both of OpenAI's APIs have."""
_SUPPORTED: Final = (
    PADDING,
    Supported("reasoning.context", ("auto", "current_turn", "all_turns"), "Omit it."),
    Supported("context_management", ([],), "The input is never compacted. Omit 'context_management'."),
    Supported("image.context_compression", ("auto",), "Omit 'image'."),
    Supported("access_programs", ({},), "Omit 'access_programs'."),
    Supported("prompt", (), "Prompt templates are not supported. Send the text in 'instructions' and 'input'."),
    Supported("moderation", (), "Omit 'moderation'."),
)
"""The parameters that no model here understands, and the values of them that request what is done anyway."""


def read_response(raw: bytes, caller: Principal = ANONYMOUS) -> ResponseRequest:
    """Parse and check the body of `caller`; raises `ChatError` that names the parameter and the remedy."""
    body, beyond = _decoded(raw)
    caller.user_of(body.user, "user")
    caller.user_of(body.safety_identifier, "safety_identifier")
    _check_state(body)
    items = tuple(_items(body, raw))
    tools = read_tools(body.tools, body.tool_choice)
    reasoning = body.reasoning or ReasoningOptions()
    untranslated = (
        *beyond,
        *_of_openai(body),
        *tools.untranslated,
        *(part for item in items for part in item.untranslated),
        *beyond_reasoning(reasoning),
        *beyond_include(body.include),
    )
    request = ChatRequest(
        body.model,
        (),
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_output_tokens,
        reasoning_effort=reasoning.effort,
        reasoning_summary=reasoning.length,
        response_format=response_format(body.text),
        tools=tools.tools,
        tool_choice=tools.choice,
        parallel_tool_calls=body.parallel_tool_calls if tools.tools else None,
        user=body.user or body.safety_identifier,
        logprobs=(bool(body.top_logprobs) or PROBABILITIES in (body.include or ())) or None,
        top_logprobs=body.top_logprobs or None,
        truncates=body.truncation == "auto",
        sent=Sent(RESPONSES, msgspec.Raw(raw), len(items), untranslated),
    )
    new = NewResponse(
        request,
        items,
        (Message("system", body.instructions),) if body.instructions else (),
        echo_of(body),
        store=body.store is not False,
        background=bool(body.background),
        previous=_previous(body),
        conversation=_conversation(body),
    )
    return ResponseRequest(new, bool(body.stream))


def _decoded(raw: bytes) -> tuple[ResponseBody, list[Untranslated]]:
    """Return the body in these terms, and what it has beyond them."""
    try:
        body, beyond = _BODY.decode(raw), list[Untranslated]()
    except msgspec.ValidationError:
        common, beyond = common_part(raw, ResponseBody, _NESTED)
        body = convert_body(common, ResponseBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body, beyond = decode_body(raw, _BODY), []  # raises what a client can read
    beyond += [Untranslated(error.param or "", error.message) for error in unsupported(body, _SUPPORTED)]
    return body, beyond


def wants_stream(_accept: str, body: bytes) -> bool:
    """Return whether the body requests a stream, as `read_response` decides it; an invalid body requests none."""
    return bool(stream_field(body))


def _of_openai(body: ResponseBody) -> Iterator[Untranslated]:
    """Yield what only OpenAI's two APIs have."""
    for error in unsupported(body, _IN_OPENAIS):
        yield Untranslated(error.param or "", error.message, (CHAT,))


def _check_state(body: ResponseBody) -> None:
    for name in ("background", "conversation"):
        if getattr(body, name) and body.store is False:
            message = f"'{name}' requires 'store': the response is stored. Omit 'store'."
            raise ChatError(Code.INVALID_REQUEST, message, param="store")
    if body.conversation is not None and body.previous_response_id is not None:
        message = "Send one of 'conversation' and 'previous_response_id', not both."
        raise ChatError(Code.INVALID_REQUEST, message, param="previous_response_id")


def _items(body: ResponseBody, raw: bytes) -> Iterator[NewItem]:
    """Yield the items of the input, each as it came."""
    if not body.input and body.conversation is None and body.previous_response_id is None:
        message = "Missing required parameter: 'input'. Send a text or a list of items."
        raise ChatError(Code.INVALID_REQUEST, message, param="input")
    if body.input is None:
        return
    if isinstance(body.input, str):
        yield NewItem(Message("user", body.input))
        return
    yield from read_items(raw)


def _previous(body: ResponseBody) -> ResponseKey | None:
    if body.previous_response_id is None:
        return None
    known = read_response_id(body.previous_response_id)
    if known is None:
        raise ChatError(Code.PREVIOUS_RESPONSE_NOT_FOUND, param="previous_response_id")
    return known


def _conversation(body: ResponseBody) -> str | None:
    if body.conversation is None:
        return None
    known = read_conversation_id(body.conversation if isinstance(body.conversation, str) else body.conversation.id)
    if known is None:
        raise ChatError(Code.CONVERSATION_NOT_FOUND, param="conversation")
    return known
