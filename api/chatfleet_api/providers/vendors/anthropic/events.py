"""Events of Anthropic's Messages API, decoded: strictly and fast, and by need where an upstream differs. Pure.

Only `type` decides the truth of an event. A field of another type than Anthropic documents is read as what it can mean,
or left out; that costs a second decoding, of this event alone.
"""

import json
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.error_objects import ErrorObject, parse_error
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.token_counts import MAX_TOKENS
from chatfleet_api.providers.upstream_errors import clean


class OutputDetails(msgspec.Struct, gc=False):
    """Parts of the output."""

    thinking_tokens: int | None = None


class CacheCreation(msgspec.Struct, gc=False):
    """Parts of what the cache took, by how long it keeps them."""

    ephemeral_1h_input_tokens: int | None = None


class EventUsage(msgspec.Struct, gc=False):
    """Numbers as Anthropic reports them."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    cache_creation: CacheCreation | None = None
    service_tier: Any = None
    speed: Any = None
    inference_geo: Any = None


class StartedMessage(msgspec.Struct, gc=False):
    """The message of `message_start`."""

    usage: EventUsage | None = None


class Block(msgspec.Struct, gc=False):
    """The block of `content_block_start`."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    data: str | None = None
    """Of reasoning that is redacted."""
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()


class EventDelta(msgspec.Struct, gc=False):
    """The delta of `content_block_delta`, and that of `message_delta`."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    """Of a thought, which it ends."""
    stop_reason: str | None = None
    content: Any = None
    """Where imitations put text, or parts of it."""


class Event(msgspec.Struct, gc=False):
    """Any event: they share their fields, and unknown ones are ignored."""

    type: str
    index: int | None = None
    message: StartedMessage | None = None
    content_block: Block | None = None
    delta: EventDelta | None = None
    usage: EventUsage | None = None


decode = msgspec.json.Decoder(Event).decode
"""Decodes an event as Anthropic documents it: the fast way, which every token takes."""

UNEXPECTED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `decode` raises."""


def text_of(value: object) -> str:
    """Return the text of a string, of a part with a `text`, or of a list of both; it may hold half surrogate pairs."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return text_of(value.get("text"))
    return "".join(map(text_of, value)) if isinstance(value, list) else ""


def tolerated(payload: bytes, unexpected: Exception) -> Event:
    """Return the event in `payload`, which `decode` did not accept; raise `ChatError(UPSTREAM_MALFORMED)` if none."""
    try:
        if isinstance(unexpected, RecursionError):
            raise unexpected
        return _tolerated(payload)
    except RecursionError as error:
        raise _malformed("the JSON nests too deeply") from error


def _tolerated(payload: bytes) -> Event:
    if payload.strip() in (b"", b"[DONE]"):  # keep-alives of gateways, and the end that OpenAI's clients wait for
        return Event("")
    try:
        fields = json.loads(payload.decode("utf-8", "replace"), strict=False)
    except ValueError as error:
        raise _malformed(str(error)) from error
    if not isinstance(fields, dict):
        raise _malformed("not an object")
    if not isinstance(fields.get("type"), str):
        if not fields.get("error"):
            raise _malformed("without a type")
        fields["type"] = "error"
    return Event(
        type=fields["type"],
        index=_number(fields.get("index")),
        message=StartedMessage(_usage(_object(fields.get("message")).get("usage"))),
        content_block=_block(_object(fields.get("content_block"))),
        delta=_delta(_object(fields.get("delta"))),
        usage=_usage(fields.get("usage")),
    )


def _block(fields: dict[str, Any]) -> Block:
    return Block(
        replaced(text_of(fields.get("type"))),
        text_of(fields.get("text")),
        text_of(fields.get("thinking")),
        data=_name(fields.get("data")),
        id=_name(fields.get("id")),
        name=_name(fields.get("name")),
        input=msgspec.Raw(_json(fields.get("input")).encode()),
    )


def _delta(fields: dict[str, Any]) -> EventDelta:
    partial = fields.get("partial_json")
    return EventDelta(
        text_of(fields.get("type")),
        text_of(fields.get("text")),
        text_of(fields.get("thinking")),
        text_of(partial) if isinstance(partial, str) else _json(partial),
        signature=_name(fields.get("signature")),
        stop_reason=replaced(text_of(fields.get("stop_reason"))),
        content=fields.get("content"),
    )


def _usage(fields: object) -> EventUsage:
    numbers = _object(fields)
    details = _object(numbers.get("output_tokens_details"))
    return EventUsage(
        _number(numbers.get("input_tokens")),
        _number(numbers.get("output_tokens")),
        _number(numbers.get("cache_creation_input_tokens")),
        _number(numbers.get("cache_read_input_tokens")),
        OutputDetails(_number(details.get("thinking_tokens"))),
        CacheCreation(_number(_object(numbers.get("cache_creation")).get("ephemeral_1h_input_tokens"))),
        *(numbers.get(name) for name in ("service_tier", "speed", "inference_geo")),
    )


def error_in(payload: bytes) -> ErrorObject:
    """Return the error of an event, which may stand in `error` or, flat, beside the type."""
    error = parse_error(payload)
    return error if error.message else replace(error, message=payload.decode("utf-8", "replace"))


def _object(value: object) -> dict[str, Any]:
    """Return an object; one with the text where there is text in its place, and an empty one for anything else."""
    if isinstance(value, str):
        return {"text": value}
    return value if isinstance(value, dict) else {}


def _name(value: object) -> str | None:
    return replaced(text_of(value)) or (str(value) if isinstance(value, int) else None)


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(MAX_TOKENS)):
        return int(value)
    if isinstance(value, bool):
        return None
    return int(value) if isinstance(value, int | float) and 0 <= value <= MAX_TOKENS else None


def _json(value: object) -> str:
    """Return `value` as ASCII, in which half a surrogate pair is an escape; nothing for null."""
    return "" if value is None else json.dumps(value)


def _malformed(what: str) -> ChatError:
    return ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"not an event of a message: {what}"))
