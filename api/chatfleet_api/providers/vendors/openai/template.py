"""Templates of chunks: most chunks of an answer differ in one text alone. Pure.

What stands before and after the text is compared as bytes, which costs less than to decode the chunk. Upstreams that
give each chunk another id have no template; their plain chunks are decoded strictly.
"""

import re
from collections.abc import Callable
from typing import Any, Final, Literal, Self

import msgspec

from chatfleet_api.domain.events import Extended, Piece, Reasoning, Token, ToolCall
from chatfleet_api.providers.vendors.openai.tool_calls import ToolCalls

_TEXT: Final = re.compile(rb'"(content|reasoning_content|reasoning|arguments)"\s*:\s*("(?:[^"\\]|\\.)*")')
"""A field with a text. Within a text quotes are escaped, so that no text looks like one."""
CALLS: Final = b'"tool_calls"'
_PADDING: Final = b',"obfuscation":"'
_string: Final = msgspec.json.Decoder(str).decode
_WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Template:
    """Chunks with the same bytes before and after their text."""

    __slots__ = ("_after", "_before", "_cut", "_extra", "_make")

    def __init__(self, before: bytes, after: bytes, make: Callable[[str], Piece], extra: msgspec.Raw | None) -> None:
        self._before, self._after = before, after
        self._cut = len(before)
        self._make = make
        self._extra = extra

    @classmethod
    def of(cls, payload: bytes, piece: Piece, extra: msgspec.Raw | None, calls: ToolCalls) -> Self | None:
        """Return the template of a chunk that brought `piece`, and `extra` beside it; None: it has more than a text."""
        found = [match for match in _TEXT.finditer(payload) if match[2] != b'""']
        if len(found) != 1:
            return None
        start, end = found[0].span(2)
        make = _maker(found[0][1], payload, piece, calls)
        return None if make is None else cls(payload[:start], payload[end:], make, extra)

    def item(self, payload: bytes) -> Piece | Extended | None:
        """Return what a chunk brings; None when it does not fit."""
        if not (payload.startswith(self._before) and payload.endswith(self._after)):
            return None
        try:
            text = _string(payload[self._cut : len(payload) - len(self._after)])
        except _WRONG:
            return None
        if not text:
            return None
        piece = self._make(text)
        return piece if self._extra is None else Extended(self._extra, (piece,))


def _maker(field: bytes, payload: bytes, piece: Piece, calls: ToolCalls) -> Callable[[str], Piece] | None:
    """Return what makes a piece of the text in `field`; None: the chunk has an id or a name beside it."""
    if isinstance(piece, ToolCall):
        is_named = piece.id or piece.name or b'"name"' in payload or payload.count(b'"id"') > 1
        return calls.continuing(piece.index) if field == b"arguments" and not is_named else None
    if isinstance(piece, Token):
        return Token if field == b"content" else None
    if field == b"reasoning":
        return lambda text: Reasoning(text, "reasoning")
    return Reasoning if field == b"reasoning_content" else None


class _Delta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    role: msgspec.Raw = msgspec.Raw()
    content: str | None = None
    reasoning_content: str | None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None


class _Choice(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    delta: _Delta
    index: msgspec.Raw = msgspec.Raw()
    finish_reason: None = None
    logprobs: None = None


class _Function(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    name: msgspec.Raw = msgspec.Raw()
    arguments: msgspec.Raw = msgspec.Raw()


class _Call(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    function: _Function
    index: msgspec.Raw = msgspec.Raw()
    id: msgspec.Raw = msgspec.Raw()
    type: Literal["function"] | None = None


class _CallDelta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    tool_calls: list[_Call]
    role: msgspec.Raw = msgspec.Raw()
    content: None = None
    reasoning_content: None = None
    refusal: None = None
    function_call: None = None


class _CallChoice(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    delta: _CallDelta
    index: msgspec.Raw = msgspec.Raw()
    finish_reason: None = None
    logprobs: None = None


class _Chunk(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: msgspec.Raw = msgspec.Raw()
    object: msgspec.Raw = msgspec.Raw()
    created: msgspec.Raw = msgspec.Raw()
    model: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: None = None


class _PlainChunk(_Chunk, gc=False, forbid_unknown_fields=True, kw_only=True):
    choices: tuple[_Choice]


class _CallChunk(_Chunk, gc=False, forbid_unknown_fields=True, kw_only=True):
    choices: tuple[_CallChoice]


_plain: Final = msgspec.json.Decoder(_PlainChunk).decode
_calls: Final = msgspec.json.Decoder(_CallChunk).decode


def plain_item(payload: bytes, known: dict[str, Any]) -> Token | Reasoning | None:
    """Return the one text in a chunk that has nothing else which is not `known`; None: look closer."""
    try:
        chunk = _plain(payload)
    except _WRONG:
        return None
    if not _is_known(chunk, known):
        return None
    delta = chunk.choices[0].delta
    if delta.content:
        return None if delta.reasoning_content else Token(delta.content)
    return Reasoning(delta.reasoning_content) if delta.reasoning_content else None


def has_calls_alone(payload: bytes, known: dict[str, Any]) -> bool:
    """Return whether a chunk has pieces of functions' calls, and nothing else which is not `known`."""
    try:
        return _is_known(_calls(payload), known)
    except _WRONG:
        return False


def _is_known(chunk: _Chunk, known: dict[str, Any]) -> bool:
    fingerprint, tier = chunk.system_fingerprint, chunk.service_tier
    return tier == known.get("service_tier") and fingerprint == known.get("system_fingerprint")


def unpadded(payload: bytes) -> bytes:
    """Return a chunk without OpenAI's `obfuscation`, which is random text against eavesdroppers."""
    start = payload.rfind(_PADDING)
    if start < 0:
        return payload
    end = payload.find(b'"', start + len(_PADDING))
    return payload[:start] + payload[end + 1 :]
