"""Chunks that differ from what OpenAI documents, read by need. Pure.

A field of another type, or in another place, is read as what it can mean, or left out; what clients would miss is
noted. That costs a second decoding, of the odd chunk alone.
"""

import json
from typing import Any, Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.error_objects import ErrorObject, error_of
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.upstream_errors import clean, from_event
from chatfleet_api.providers.vendors.openai.chunks import (
    UNEXPECTED,
    Call,
    Choice,
    Chunk,
    Custom,
    Delta,
    Function,
    OldCall,
)
from chatfleet_api.providers.vendors.openai.odd_usage import number_of, usage_of

_END: Final = (b"", b"[DONE]")
_FLAT: Final = frozenset({"message", "detail", "errors", "error_message", "error_msg", "error_code"})
"""Fields of errors that stand where those of a chunk belong."""
_UNUSED: Final = ("audio", "images")
"""Parts of an answer that no dialect of ours has."""
_READ: Final = frozenset({"text", "thinking"})
"""Fields with the text of a part."""
_MAX_NOTES: Final = 8


class OddChunks:
    """Reads the odd chunks of one answer."""

    __slots__ = ("_by_message", "any_read", "left_out")

    def __init__(self) -> None:
        self.any_read = False
        """Whether there was a chunk of the protocol, be it one without content."""
        self.left_out: set[str] = set()
        """What a client would miss."""
        self._by_message = False
        """Whether the answer comes in `message` instead of `delta`."""

    def read(self, payload: bytes, unexpected: Exception | None = None, *, is_first: bool) -> Chunk | None:
        """Return the chunk in `payload`, which `decode` did not accept or found empty; None is the mark of the end.

        `is_first`: no piece of the answer has come. Raises `ChatError`: the error in the chunk, or UPSTREAM_MALFORMED
        when it is no chunk.
        """
        if payload.strip() in _END:
            return None if payload.strip() else Chunk()
        try:
            return self._chunk(_object_in(payload, unexpected), is_first=is_first)
        except RecursionError as error:
            raise _malformed("the JSON nests too deeply") from error

    def _chunk(self, fields: dict[str, Any], *, is_first: bool) -> Chunk:
        choices = fields.get("choices")
        if not isinstance(choices, list | None):
            raise _malformed("'choices' is not a list")
        objects = [_object(choice, "a choice") for choice in choices or ()]
        places = [*objects, groq] if isinstance(groq := fields.get("x_groq"), dict) else objects
        for error in (_error(fields), *map(_error_in, places)):
            if error:
                raise from_event(error)
        read = None if choices is None else [self._choice(choice, is_first=is_first) for choice in objects]
        self.any_read |= choices is not None
        return Chunk(read, usage_of([fields, *places]))

    def _choice(self, fields: dict[str, Any], *, is_first: bool) -> Choice:
        delta = _object(fields.get("delta"), "a delta")
        message = fields.get("message")
        if message and not delta and (is_first or self._by_message):
            delta = message if isinstance(message, dict) else {"content": message}
            self._by_message = True
        elif message and fields.get("delta") is None:
            self._note("message")  # it may repeat what deltas have brought
        if not delta and isinstance(fields.get("text"), str):  # of completions that are no chat
            delta = {"content": fields["text"]}
        word = fields.get("finish_reason")
        return Choice(self._delta(delta), replaced(word) if isinstance(word, str) and word else None)

    def _delta(self, fields: dict[str, Any]) -> Delta:
        for name in _UNUSED:
            if fields.get(name):
                self._note(name)
        calls = fields.get("tool_calls")
        if isinstance(calls, dict):
            calls = [calls]
        if not isinstance(calls, list | None):
            raise _malformed("'tool_calls' is not a list")
        read = [_call(call) for call in calls or ()]
        if function := fields.get("function_call"):
            read.append(OldCall(function=_function(function)))
        content = fields.get("content")
        reasoning = self._text(fields.get("reasoning_content"), "reasoning") or "".join(_thoughts(content))
        return Delta(
            self._text(content, "content"),
            reasoning or self._text(fields.get("reasoning"), "reasoning") or _details(fields.get("reasoning_details")),
            refusal=self._text(fields.get("refusal"), "refusal"),
            tool_calls=read,
        )

    def _text(self, value: object, name: str) -> str:
        """Return the text of a value; note one without any."""
        if isinstance(value, list):
            return "".join(self._text(part, name) for part in value)
        if isinstance(value, dict) and _READ.isdisjoint(value):
            self._note(f"{name} of type {value.get('type')}")
        elif value is True:
            self._note(name)
        return _plain_text(value)

    def _note(self, name: str) -> None:
        if len(self.left_out) < _MAX_NOTES:
            self.left_out.add(clean(replaced(name), limit=60))


def _object_in(payload: bytes, unexpected: Exception | None) -> dict[str, Any]:
    if isinstance(unexpected, RecursionError):
        raise unexpected
    try:
        fields = _decoded(payload) if unexpected is None else _json(payload)
    except ValueError as error:
        raise _malformed(str(error)) from error
    if not isinstance(fields, dict):
        raise _malformed("not an object")
    return fields


def _decoded(payload: bytes) -> object:
    try:
        return msgspec.json.decode(payload)
    except UNEXPECTED:  # what the fast way skips
        return _json(payload)


def _json(payload: bytes) -> object:
    return json.loads(payload.decode("utf-8-sig", "replace"), strict=False)


def _plain_text(value: object) -> str:
    """Return a string, a number as JSON has it, or the text of a part; it may hold half surrogate pairs."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _plain_text(value.get("text"))
    if isinstance(value, list):
        return "".join(map(_plain_text, value))
    return json.dumps(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _thoughts(content: object) -> list[str]:
    """Return Mistral's `thinking` parts, which stand beside those of the text."""
    parts = (part for part in _listed(content) if isinstance(part, dict))
    return [text for part in parts if (text := _plain_text(part.get("thinking")))]


def _details(value: object) -> str:
    """Return the text of OpenRouter's details, which usually repeat `reasoning`; what is encrypted has none."""
    fields = (each for each in _listed(value) if isinstance(each, dict))
    return "".join(_plain_text(each.get("text")) or _plain_text(each.get("summary")) for each in fields)


def _call(value: object) -> Call:
    fields = _object(value, "a tool call")
    index, ident = number_of(fields.get("index")), _name(fields.get("id"))
    if isinstance(custom := fields.get("custom"), dict):
        return Call(index, ident, custom=Custom(_name(custom.get("name")), _plain_text(custom.get("input"))))
    return Call(index, ident, _function(fields.get("function")))


def _function(value: object) -> Function:
    fields = _object(value, "a function")
    arguments = fields.get("arguments")
    text = arguments if arguments is None or isinstance(arguments, str) else json.dumps(arguments)
    return Function(_name(fields.get("name")), text)


def _error(fields: dict[str, Any]) -> ErrorObject | None:
    """Return the error of a chunk, which may stand in `error`, or flat where the fields of a chunk belong."""
    if error := fields.get("error"):
        return error_of(fields) or _error_in({"error": error})
    is_flat = fields.get("object") == "error" or not fields.get("choices")
    return error_of(fields) if is_flat and not _FLAT.isdisjoint(fields) else None


def _error_in(fields: dict[str, Any]) -> ErrorObject | None:
    """Return what stands in `error`; one that cannot be read is an error too."""
    error = fields.get("error")
    return (error_of(error) or ErrorObject(json.dumps(error))) if error else None


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _malformed(f"{what} is not an object")
    return value


def _name(value: object) -> str | None:
    return replaced(str(value)) if isinstance(value, str | int) and value != "" else None


def _malformed(what: str) -> ChatError:
    return ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"not a chat completion chunk: {what}"))
