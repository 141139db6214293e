"""Chunks of OpenAI's chat completions, decoded: strictly and fast, and by need where an upstream differs. Pure.

A field of another type than OpenAI documents is read as what it can mean, or left out; that costs a second decoding,
of this chunk alone.
"""

import json
from typing import Any, Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.error_objects import ErrorObject, error_of
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.upstream_errors import clean

_END: Final = (b"", b"[DONE]")
_FLAT: Final = frozenset({"message", "detail", "errors", "error_message", "error_msg", "error_code"})
"""Fields of errors that stand where those of a chunk belong."""


class Function(msgspec.Struct, gc=False):
    """What a piece of a tool call brings."""

    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct, gc=False):
    """A piece of a tool call."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct, gc=False):
    """What a chunk adds to the message."""

    content: str | None = None
    reasoning_content: str | None = None
    """DeepSeek's name, and that of most compatible servers."""
    reasoning: str | None = None
    """OpenRouter's name, and that of newer vLLM."""
    refusal: str | None = None
    tool_calls: list[Call] | None = None


class Choice(msgspec.Struct, gc=False):
    """The one answer."""

    delta: Delta | None = None
    finish_reason: str | None = None


class PromptDetails(msgspec.Struct, gc=False):
    """Parts of the prompt."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    """Parts of the completion."""

    reasoning_tokens: int | None = None


class ChunkUsage(msgspec.Struct, gc=False):
    """Numbers as the upstream reports them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Chunk(msgspec.Struct, gc=False):
    """One chunk; its unknown fields are ignored."""

    choices: list[Choice] | None = None
    usage: ChunkUsage | None = None
    error: ErrorObject | str | None = None


decode = msgspec.json.Decoder(Chunk).decode
"""Decodes a chunk as OpenAI documents it: the fast way, which every token takes."""

UNEXPECTED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `decode` raises."""


def tolerated(payload: bytes, unexpected: Exception | None = None) -> Chunk | None:
    """Return the chunk in `payload`, which `decode` did not accept or found empty; None is the mark of the end.

    Raises `ChatError(UPSTREAM_MALFORMED)` when it is no chunk.
    """
    if payload.strip() in _END:
        return None if payload.strip() else Chunk()
    if isinstance(unexpected, RecursionError):
        raise _malformed("the JSON nests too deeply")
    try:
        fields = json.loads(payload.decode("utf-8", "replace"), strict=False)
    except RecursionError as error:
        raise _malformed("the JSON nests too deeply") from error
    except ValueError as error:
        raise _malformed(str(error)) from error
    if not isinstance(fields, dict):
        raise _malformed("not an object")
    choices = fields.get("choices")
    if not isinstance(choices, list | None):
        raise _malformed("'choices' is not a list")
    read = None if choices is None else [_choice(choice) for choice in choices]
    return Chunk(read, _usage(fields.get("usage")), _error(fields))


def _choice(value: object) -> Choice:
    fields = _object(value, "a choice")
    return Choice(_delta(_object(fields.get("delta"), "a delta")), replaced(_text(fields.get("finish_reason"))) or None)


def _delta(fields: dict[str, Any]) -> Delta:
    calls = fields.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    if not isinstance(calls, list | None):
        raise _malformed("'tool_calls' is not a list")
    thoughts = "".join(_thoughts(fields.get("content")))
    return Delta(
        _text(fields.get("content")),
        _text(fields.get("reasoning_content")) or thoughts,
        _text(fields.get("reasoning")),
        _text(fields.get("refusal")),
        [_call(call) for call in calls or ()],
    )


def _call(value: object) -> Call:
    fields = _object(value, "a tool call")
    function = _object(fields.get("function"), "a function")
    arguments = function.get("arguments")
    return Call(
        _number(fields.get("index")),
        _name(fields.get("id")),
        Function(
            _name(function.get("name")),
            arguments if arguments is None or isinstance(arguments, str) else json.dumps(arguments),
        ),
    )


def _thoughts(content: object) -> list[str]:
    """Return Mistral's `thinking` parts, which stand beside those of the text."""
    if not isinstance(content, list):
        return []
    return [_text(part.get("thinking")) for part in content if isinstance(part, dict)]


def _text(value: object) -> str:
    """Return the text of a string, of a part with a `text`, or of a list of both; it may hold half surrogate pairs."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _text(value.get("text"))
    return "".join(map(_text, value)) if isinstance(value, list) else ""


def _usage(value: object) -> ChunkUsage | None:
    if not isinstance(value, dict):
        return None
    prompt, completion = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    read, written = (_part(prompt, name) for name in ("cached_tokens", "cache_write_tokens"))
    return ChunkUsage(
        _number(value.get("prompt_tokens")),
        _number(value.get("completion_tokens")),
        _number(value.get("total_tokens")),
        PromptDetails(read, written),
        CompletionDetails(_part(completion, "reasoning_tokens")),
    )


def _part(details: object, name: str) -> int | None:
    return _number(details.get(name)) if isinstance(details, dict) else None


def _error(fields: dict[str, Any]) -> ErrorObject | None:
    """Return the error of a chunk, which may stand in `error`, or flat where the fields of a chunk belong."""
    if error := fields.get("error"):
        return error_of(fields) or ErrorObject(json.dumps(error))  # one that cannot be read is an error too
    is_flat = fields.get("object") == "error" or not fields.get("choices")
    return error_of(fields) if is_flat and not _FLAT.isdisjoint(fields) else None


def _object(value: object, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _malformed(f"{what} is not an object")
    return value


def _name(value: object) -> str | None:
    return replaced(str(value)) if isinstance(value, str | int) and value != "" else None


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(2**53)):
        return int(value)
    return int(value) if isinstance(value, int | float) and 0 <= value <= 2**53 else None


def _malformed(what: str) -> ChatError:
    return ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"not a chat completion chunk: {what}"))
