"""Events of OpenAI's Responses API, decoded: strictly and fast, and by need where an upstream differs. Pure.

Only `type` decides the truth of an event. A field of another type than OpenAI documents is read as what it can mean, or
left out; that costs a second decoding, of this event alone.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.upstream_errors import clean

_T = TypeVar("_T", bound=msgspec.Struct)


class Incomplete(msgspec.Struct, gc=False):
    """Why a response is not complete."""

    reason: str | None = None


class Part(msgspec.Struct, gc=False):
    """A part of a message, or of a reasoning's content or summary."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None


class Item(msgspec.Struct, gc=False):
    """An item of the output: the fields of the kinds that have a counterpart in the common terms."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None


class Response(msgspec.Struct, gc=False):
    """The response so far, or at its end."""

    status: str | None = None
    incomplete_details: Incomplete | None = None
    error: Any = None
    usage: Any = None
    service_tier: Any = None
    output: list[Item] | None = None


class Event(msgspec.Struct, gc=False):
    """Any event: they share their fields, and unknown ones are ignored."""

    type: str
    delta: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    item_id: str | None = None
    item: Item | None = None
    arguments: str | None = None
    input: str | None = None
    text: str | None = None
    refusal: str | None = None
    response: Response | None = None


decode = msgspec.json.Decoder(Event).decode
"""Decodes an event as OpenAI documents it: the fast way, which every token takes."""

UNEXPECTED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `decode` raises."""

_OBJECTS: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
    {"item": Item, "response": Response, "incomplete_details": Incomplete}
)
_LISTS: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType({"content": Part, "summary": Part, "output": Item})
_NUMBERS: Final = frozenset({"output_index", "content_index", "summary_index"})
_ANYTHING: Final = frozenset({"error", "usage"})


def tolerated(payload: bytes, unexpected: Exception) -> Event:
    """Return the event in `payload`, which `decode` did not accept; raise `ChatError(UPSTREAM_MALFORMED)` if none."""
    if payload.strip() in (b"", b"[DONE]"):  # keep-alives of gateways, and the end that other APIs of OpenAI have
        return Event("")
    try:
        if isinstance(unexpected, RecursionError):
            raise unexpected
        fields = json.loads(payload.decode("utf-8", "replace"), strict=False)
    except RecursionError as error:
        raise _malformed("the JSON nests too deeply") from error
    except ValueError as error:
        raise _malformed(str(error)) from error
    if not isinstance(fields, dict):
        raise _malformed("not an object")
    if not isinstance(fields.get("type"), str):
        if not fields.get("error"):
            raise _malformed("without a type")
        fields["type"] = "error"
    return _lenient(Event, fields)


def _lenient(kind: type[_T], fields: dict[str, Any]) -> _T:
    """Return what can be read of an object."""
    known = {name: _value(name, fields[name]) for name in kind.__struct_fields__ if name in fields}
    return kind(**known)


def _value(name: str, value: object) -> Any:  # noqa: ANN401  # of the field's type
    if name in _ANYTHING:
        return value
    if name in _OBJECTS:
        return _lenient(_OBJECTS[name], value) if isinstance(value, dict) else None
    if name in _LISTS:
        parts = [{"text": value}] if isinstance(value, str) else value if isinstance(value, list) else []
        return [_lenient(_LISTS[name], part) for part in parts if isinstance(part, dict)]
    if name in _NUMBERS:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, dict | list) and name in ("arguments", "input"):
        return json.dumps(value)
    return value if isinstance(value, str) else "" if name == "type" else None


def _malformed(what: str) -> ChatError:
    return ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"not an event of a response: {what}"))
