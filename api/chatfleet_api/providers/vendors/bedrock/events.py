"""Events of Bedrock's ConverseStream, decoded: strictly and fast, or by need. Pure.

A payload has one field, named for the type of the event. A field of another type than documented costs a second
decoding, of this event alone.
"""

import json
from typing import Any, Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.upstream_errors import clean


class _Shape(msgspec.Struct, gc=False, rename="camel"):
    pass


class ToolUse(_Shape):
    """The beginning of a tool call, and a piece of its arguments."""

    tool_use_id: str | None = None
    name: str | None = None
    input: str | None = None


class ReasoningDelta(_Shape):
    """A piece of reasoning, the signature that ends it, or reasoning that is encrypted."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Delta(_Shape):
    """The delta of `contentBlockDelta`."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: ReasoningDelta | None = None


class Content(_Shape):
    """`contentBlockStart`, `contentBlockDelta` and `contentBlockStop`."""

    content_block_index: int = 0
    start: Delta | None = None
    delta: Delta | None = None


class Stop(_Shape):
    """`messageStop`."""

    stop_reason: str = ""


class CacheDetail(_Shape):
    """What the cache took with one time to live."""

    ttl: Any = None
    input_tokens: int | None = None


class ServiceTier(_Shape):
    """The tier that answered."""

    type: Any = None


class TokenUsage(_Shape):
    """Numbers as Bedrock reports them; the input is without what the cache took or gave."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[CacheDetail] | None = None


class Metadata(_Shape):
    """`metadata`, which comes after `messageStop`."""

    usage: TokenUsage | None = None
    service_tier: ServiceTier | None = None


class Event(_Shape):
    """Any event: only one field is there, and unknown ones are ignored."""

    content_block_delta: Content | None = None
    message_start: msgspec.Raw = msgspec.Raw()
    content_block_start: Content | None = None
    content_block_stop: Content | None = None
    message_stop: Stop | None = None
    metadata: Metadata | None = None


decode = msgspec.json.Decoder(Event).decode
"""Decodes an event as Bedrock documents it: the fast way, which every token takes."""

UNEXPECTED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `decode` raises."""


def tolerated(payload: bytes) -> Event:
    """Return the event in `payload`, which `decode` did not accept; raise `ChatError(UPSTREAM_MALFORMED)` if none."""
    try:
        fields = json.loads(payload.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError) as error:
        raise malformed(str(error)) from error
    kinds: dict[str, type[msgspec.Struct]] = {
        "contentBlockDelta": Content,
        "contentBlockStart": Content,
        "contentBlockStop": Content,
        "messageStop": Stop,
        "metadata": Metadata,
    }
    name, value = next(iter(fields.items()))
    if name not in kinds:
        return Event(message_start=msgspec.Raw(b"{}")) if name == "messageStart" else Event()
    if not isinstance(value, dict):
        raise malformed(f"{name} is no object")
    return msgspec.convert({name: _fitting(value, kinds[name])}, Event)


def _fitting(value: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the fields of `value` that `kind` can hold, whose texts may have half a character at their ends."""
    fitting: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        found = value.get(field.encode_name)
        inner = _STRUCTS.get(field.name)
        if inner and isinstance(found, dict):
            fitting[field.encode_name] = _fitting(found, inner)
        elif not inner and found is not None and _is_scalar(found, field.name):
            fitting[field.encode_name] = found
    return fitting


_STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    "start": Delta,
    "delta": Delta,
    "tool_use": ToolUse,
    "reasoning_content": ReasoningDelta,
    "usage": TokenUsage,
    "service_tier": ServiceTier,
}


def _is_scalar(value: object, name: str) -> bool:
    """Return whether `value` is what a field holds: a number for counts and indexes, else text."""
    is_number = name.endswith(("_tokens", "_index"))
    return isinstance(value, int) and not isinstance(value, bool) if is_number else isinstance(value, str)


def name_of(text: str | None) -> str:
    """Return an id or a name in whole characters."""
    return replaced(text or "")


def malformed(what: str) -> ChatError:
    return ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"not an event of ConverseStream: {what}"))
