"""What a client of the OpenAI chat completions API sends: the body, checked and turned into a `ChatRequest`.

Every parameter reaches an upstream of the same dialect as it was sent (`Sent`). For the others it is translated, a hint
that changes no answer, or rejected by name; none is silently dropped.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import ANONYMOUS, Principal
from chatfleet_api.domain.request import (
    CHAT,
    AnyToolCall,
    ChatRequest,
    ContentPart,
    Function,
    ImagePart,
    ImageURL,
    Message,
    MessageToolCall,
    Sent,
    TextPart,
    Untranslated,
)
from chatfleet_api.web.body import convert_body, decode_body, limit_depth, stream_field
from chatfleet_api.web.dialects.openai.body import (
    ChatCompletionBody,
    ChatMessage,
    ImageContent,
    RefusalPart,
    StreamOptions,
    TextContent,
)
from chatfleet_api.web.dialects.openai.untranslated import common_part, values_beyond


class CompletionRequest(NamedTuple):
    """A request, and the form of its response."""

    request: ChatRequest
    stream: bool
    include_usage: bool
    metadata: dict[str, str] | None
    """The caller's labels, returned with a response that is not streamed."""


_BODY: Final = msgspec.json.Decoder(ChatCompletionBody)


def read_completion(raw: bytes, caller: Principal = ANONYMOUS) -> CompletionRequest:
    """Parse and check the body of `caller`; raises `ChatError` that names the parameter and the remedy."""
    body, beyond = _decoded(raw)
    caller.user_of(body.user, "user")
    caller.user_of(body.safety_identifier, "safety_identifier")
    _reject_invalid(body)
    options = body.stream_options or StreamOptions()
    request = _request(body, raw, (*beyond, *values_beyond(body)))
    return CompletionRequest(request, bool(body.stream), bool(options.include_usage), body.metadata)


def wants_stream(_accept: str, body: bytes) -> bool:
    """Return whether the body requests a stream, as `read_completion` decides it; an invalid body requests none."""
    return bool(stream_field(body))


def _decoded(raw: bytes) -> tuple[ChatCompletionBody, Iterable[Untranslated]]:
    """Return the body in the common terms, which nearly all bodies fit, and what another one has beside them."""
    try:
        return _BODY.decode(raw), ()
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode_body(raw, _BODY), ()  # raises what a client can read
    body, beyond = common_part(raw)
    return convert_body(body, ChatCompletionBody), beyond


def _reject_invalid(body: ChatCompletionBody) -> None:
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise _invalid(
            "max_tokens",
            "'max_tokens' and 'max_completion_tokens' exclude each other. Use 'max_completion_tokens'.",
        )
    if not body.stream and body.stream_options is not None and body.stream_options.include_usage:
        raise _invalid("stream_options", "'stream_options' is only allowed when 'stream' is true.")


def _request(body: ChatCompletionBody, raw: bytes, beyond: tuple[Untranslated, ...]) -> ChatRequest:
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
        sent=Sent(CHAT, msgspec.Raw(raw), len(body.messages), beyond),
    )


def _free(value: msgspec.Struct | None, param: str) -> Any:  # noqa: ANN401  # JSON of the vendor's, handed on as it is
    free = msgspec.to_builtins(value)
    limit_depth(free, param)
    return free


def _message(message: ChatMessage, param: str) -> Message:
    """Return the message as a model gets it: of an earlier answer, the text and the tool calls."""
    content = message.refusal if message.content is None and message.role == "assistant" else message.content
    may_lack_content = message.role == "assistant" and (message.tool_calls or message.audio or message.function_call)
    if content is None and not may_lack_content:
        raise _invalid(
            f"{param}.content",
            f"Missing required parameter: '{param}.content'. Only an assistant message with tool calls may omit it.",
        )
    if message.role == "tool" and not message.tool_call_id:
        raise _invalid(
            f"{param}.tool_call_id",
            f"Missing required parameter: '{param}.tool_call_id'. Set it to the id of the tool call.",
        )
    calls: list[AnyToolCall] = [
        MessageToolCall(call.id, Function(call.function.name, call.function.arguments))
        for call in message.tool_calls or ()
    ]
    made = None if message.tool_calls is None else calls
    return Message(message.role, _content(content), message.name, made, message.tool_call_id)


def _content(
    content: str | list[TextContent | ImageContent | RefusalPart] | None,
) -> str | list[ContentPart] | None:
    if not isinstance(content, list):
        return content
    return [_part(part) for part in content]


def _part(part: TextContent | ImageContent | RefusalPart) -> ContentPart:
    if isinstance(part, ImageContent):
        return ImagePart(ImageURL(part.image_url.url, part.image_url.detail))
    return TextPart(part.refusal if isinstance(part, RefusalPart) else part.text)


def _invalid(param: str, message: str) -> ChatError:
    return ChatError(Code.INVALID_REQUEST, message, param=param)
