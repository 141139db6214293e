"""Templates of chunks: most chunks of an answer differ in one text alone. Pure.

What stands before and after the text is compared as bytes, which costs less than to decode the chunk. Upstreams that
give each chunk another id have no template; their plain chunks are decoded strictly.
"""

import re
from typing import Any, Final, Self

import msgspec

from chatfleet_api.domain.events import Extended, Piece, Reasoning, Token

_TEXT: Final = re.compile(rb'"(content|reasoning_content|reasoning)"\s*:\s*("(?:[^"\\]|\\.)*")')
"""A field with a text. Within a text quotes are escaped, so that no text looks like one."""
_PADDING: Final = b',"obfuscation":"'
_string: Final = msgspec.json.Decoder(str).decode
_WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Template:
    """Chunks with the same bytes before and after their text."""

    __slots__ = ("_after", "_before", "_cut", "_extra", "_field", "_is_reasoning")

    def __init__(self, before: bytes, after: bytes, field: str, extra: msgspec.Raw | None) -> None:
        self._before, self._after = before, after
        self._cut = len(before)
        self._is_reasoning = field != "content"
        self._field = field if field == "reasoning" else None
        self._extra = extra

    @classmethod
    def of(cls, payload: bytes, piece: Piece, extra: msgspec.Raw | None) -> Self | None:
        """Return the template of a chunk that brought `piece`, and `extra` beside it; None: it has more than a text."""
        if not isinstance(piece, Token | Reasoning):
            return None
        found = [match for match in _TEXT.finditer(payload) if match[2] != b'""']
        if len(found) != 1 or (found[0][1] == b"content") is not isinstance(piece, Token):
            return None
        start, end = found[0].span(2)
        return cls(payload[:start], payload[end:], found[0][1].decode(), extra)

    def item(self, payload: bytes) -> Token | Reasoning | Extended | None:
        """Return what a chunk brings; None when it does not fit."""
        if not (payload.startswith(self._before) and payload.endswith(self._after)):
            return None
        try:
            text = _string(payload[self._cut : len(payload) - len(self._after)])
        except _WRONG:
            return None
        if not text:
            return None
        piece = Reasoning(text, self._field) if self._is_reasoning else Token(text)
        return piece if self._extra is None else Extended(self._extra, (piece,))


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


class _PlainChunk(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    choices: tuple[_Choice]
    id: msgspec.Raw = msgspec.Raw()
    object: msgspec.Raw = msgspec.Raw()
    created: msgspec.Raw = msgspec.Raw()
    model: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: None = None


_plain: Final = msgspec.json.Decoder(_PlainChunk).decode


def plain_item(payload: bytes, known: dict[str, Any]) -> Token | Reasoning | None:
    """Return the one text in a chunk that has nothing else which is not `known`; None: look closer."""
    try:
        chunk = _plain(payload)
    except _WRONG:
        return None
    if chunk.service_tier != known.get("service_tier") or chunk.system_fingerprint != known.get("system_fingerprint"):
        return None
    delta = chunk.choices[0].delta
    if delta.content:
        return None if delta.reasoning_content else Token(delta.content)
    return Reasoning(delta.reasoning_content) if delta.reasoning_content else None


def unpadded(payload: bytes) -> bytes:
    """Return a chunk without OpenAI's `obfuscation`, which is random text against eavesdroppers."""
    start = payload.rfind(_PADDING)
    if start < 0:
        return payload
    end = payload.find(b'"', start + len(_PADDING))
    return payload[:start] + payload[end + 1 :]
