"""What a client of Anthropic's Messages API sends, checked and turned into a `ChatRequest`.

Anthropic gets it as it was sent (`Sent`). An upstream of another dialect gets what has a counterpart there, and rejects
the rest by name.
"""

from typing import Final, NamedTuple

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import ANONYMOUS, Principal
from chatfleet_api.domain.request import MESSAGES, ChatRequest, Sent
from chatfleet_api.web.body import decode_body, limit_depth, stream_field
from chatfleet_api.web.dialects.messages.blocks import Beyond, Conversation
from chatfleet_api.web.dialects.messages.body import CountTokensBody, MessagesBody
from chatfleet_api.web.dialects.messages.parameters import Parameters

CURRENT: Final = "2026-10-21"
WITH_SAMPLING: Final = "2023-06-01"
"""The version that still has `temperature`, `top_p` and `top_k`."""
VERSIONS: Final = (CURRENT, WITH_SAMPLING)

_SAMPLING: Final = ("temperature", "top_p", "top_k")
_BODY: Final = msgspec.json.Decoder(MessagesBody)
_COUNT: Final = msgspec.json.Decoder(CountTokensBody)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class MessageRequest(NamedTuple):
    """A request, and the form of its response."""

    request: ChatRequest
    stream: bool


def read_message(raw: bytes, version: str | None, beta: str | None, *, caller: Principal = ANONYMOUS) -> MessageRequest:
    """Parse and check the body of `caller`; raises `ChatError` that names the field and the remedy.

    `version` and `beta` are headers of the request.
    """
    headers = _headers(version, beta)
    body = decode_body(raw, _BODY)
    user = body.metadata.user_id if body.metadata else None
    caller.user_of(user, "metadata.user_id")
    limit_depth(body.tools, "tools")
    if version == CURRENT:
        _reject_sampling(body)
    beyond = Beyond()
    Parameters(beyond).others(body, _FIELDS.decode(raw).items())
    request = _request(body, beyond)
    one_at_a_time = body.tool_choice is not None and body.tool_choice.disable_parallel_tool_use
    request = msgspec.structs.replace(
        request,
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=tuple(body.stop_sequences or ()),
        parallel_tool_calls=False if one_at_a_time else None,
        user=user,
        sent=_sent(raw, request, headers, beyond),
    )
    return MessageRequest(request, bool(body.stream))


def read_count(raw: bytes, version: str | None, beta: str | None) -> ChatRequest:
    """Parse and check the body of a count of tokens; raises as `read_message` does."""
    headers = _headers(version, beta)
    body = decode_body(raw, _COUNT)
    limit_depth(body.tools, "tools")
    beyond = Beyond()
    request = _request(body, beyond)
    return msgspec.structs.replace(request, sent=_sent(raw, request, headers, beyond))


def wants_stream(_accept: str, body: bytes) -> bool:
    """Return whether the body requests a stream, as `read_message` decides it; an invalid body requests none."""
    return bool(stream_field(body))


def _headers(version: str | None, beta: str | None) -> dict[str, str]:
    if version not in VERSIONS:
        known = " or ".join(VERSIONS)
        wrong = "is required" if version is None else "has an unknown version"
        raise ChatError(Code.INVALID_REQUEST, f"The header 'anthropic-version' {wrong}. Set it to {known}.")
    return {"anthropic-version": version, **({"anthropic-beta": beta} if beta else {})}


def _reject_sampling(body: MessagesBody) -> None:
    for name in _SAMPLING:
        if getattr(body, name) is not None:
            remedy = f"Omit it, or set the header 'anthropic-version' to {WITH_SAMPLING}."
            raise ChatError(Code.INVALID_REQUEST, f"Unsupported parameter: '{name}'. {remedy}", param=name)


def _request(body: CountTokensBody, beyond: Beyond) -> ChatRequest:
    """Return what the count of tokens depends on, in the common terms."""
    parameters = Parameters(beyond)
    return ChatRequest(
        model=body.model,
        messages=tuple(Conversation(beyond).messages(body)),
        tools=tuple(parameters.tools(body.tools)),
        tool_choice=parameters.choice(body.tool_choice),
        reasoning_effort=parameters.effort(body),
        response_format=parameters.format(body),
    )


def _sent(raw: bytes, request: ChatRequest, headers: dict[str, str], beyond: Beyond) -> Sent:
    return Sent(MESSAGES, msgspec.Raw(raw), len(request.messages), tuple(beyond.parts), headers)
