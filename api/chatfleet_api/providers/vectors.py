"""The vectors of an answer to a request for embeddings: as floats or in base64, as requested. Pure."""

import base64
import struct
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage

Encoding: TypeAlias = Literal["float", "base64"]

FLOAT_BYTES: Final = 4
"""In base64 a vector is a sequence of 32-bit floats, the lowest byte first."""


class EmbeddingRequest(NamedTuple):
    """A request for embeddings; `fields` are those of its body, as they came."""

    model: str
    fields: dict[str, Any]
    encoding: Encoding

    def body(self, upstream_model: str) -> bytes:
        """Return the request for the upstream: as it came, with the provider's name of the model."""
        return msgspec.json.encode({**self.fields, "model": upstream_model})


class EmbeddingModel(Protocol):
    """A model that makes embeddings."""

    @property
    def space(self) -> str:
        """What its vectors have in common: those of two spaces cannot be compared."""
        ...

    async def create(self, request: EmbeddingRequest) -> bytes:
        """Return the answer for the client; raise `ChatError` as a `Provider` does."""
        ...


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Answer(msgspec.Struct):
    data: list[dict[str, msgspec.Raw]]
    usage: _Usage | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FLOATS: Final = msgspec.json.Decoder(list[float])
_TEXT: Final = msgspec.json.Decoder(str)


class Vectors(msgspec.Struct, frozen=True):
    """An answer for the client, and what it has used."""

    body: bytes
    usage: Usage


def vectors(answer: bytes, *, model: str, encoding: Encoding) -> Vectors:
    """Return the upstream's answer with the client's name of the model, each vector in `encoding`, all else as it came.

    Raises `ChatError(UPSTREAM_MALFORMED)` for what is no answer.
    """
    try:
        fields: dict[str, Any] = dict(_FIELDS.decode(answer))
        found = _ANSWER.decode(answer)
        data = [{**each, "embedding": _encoded(each["embedding"], encoding)} for each in found.data]
    except (msgspec.MsgspecError, RecursionError, KeyError, ValueError, OverflowError, struct.error) as error:
        detail = f"the answer has no embeddings: {type(error).__name__}"
        raise ChatError(Code.UPSTREAM_MALFORMED, detail=detail) from error
    body = msgspec.json.encode({**fields, "data": data, "model": model})
    return Vectors(body, Usage(input_tokens=found.usage.prompt_tokens if found.usage else 0))


def _encoded(vector: msgspec.Raw, encoding: Encoding) -> msgspec.Raw:
    text = bytes(vector)
    if text.startswith(b'"' if encoding == "base64" else b"["):
        return vector
    if encoding == "base64":
        floats = _FLOATS.decode(text)
        packed = struct.pack(f"<{len(floats)}f", *floats)
        return msgspec.Raw(msgspec.json.encode(base64.b64encode(packed).decode()))
    packed = base64.b64decode(_TEXT.decode(text), validate=True)
    return msgspec.Raw(msgspec.json.encode(struct.unpack(f"<{len(packed) // FLOAT_BYTES}f", packed)))
