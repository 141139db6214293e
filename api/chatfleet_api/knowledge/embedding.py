"""Vectors of texts by a model of the catalogue; those of documents are made once for all pods, in batches."""

import asyncio
import hashlib
import struct
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Final, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.knowledge.vector_store import VectorStore
from chatfleet_api.providers.vectors import FLOAT_BYTES, EmbeddingModel, EmbeddingRequest
from chatfleet_api.usage.attempts import Attempt, noting

BATCH: Final = 32
"""Texts of one request: what servers of embeddings accept by default."""
BATCH_SECONDS: Final = 60.0
POLL_SECONDS: Final = 1.0
"""Between two looks at what the pod that makes vectors has made."""
MAX_DIMENSIONS: Final = 8192
DIGEST_BYTES: Final = 16
_LARGEST: Final = 127

Charge: TypeAlias = Callable[[str, Sequence[Attempt]], None]
"""Counts what the vectors of documents have used, by the name of the model."""


class _Vector(msgspec.Struct):
    embedding: str
    index: int


class _Vectors(msgspec.Struct):
    data: list[_Vector]


class _Floats(msgspec.Struct):
    embedding: list[float]


class _Question(msgspec.Struct):
    data: list[_Floats]


_VECTORS: Final = msgspec.json.Decoder(_Vectors)
_QUESTION: Final = msgspec.json.Decoder(_Question)


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:DIGEST_BYTES]


async def embedded(model: EmbeddingModel, name: str, texts: Sequence[str], executor: Executor) -> list[bytes]:
    """Return the vectors of `texts`; raises `ChatError` as `EmbeddingModel.create` does."""
    fields = {"input": [*texts], "encoding_format": "base64"}
    answer = await model.create(EmbeddingRequest(name, fields, "base64"))
    return await asyncio.get_running_loop().run_in_executor(executor, vectors_of, answer, len(texts))


async def embedded_question(model: EmbeddingModel, name: str, text: str) -> list[float]:
    """Return the vector of `text` as it is; raises `ChatError` as `EmbeddingModel.create` does."""
    answer = await model.create(EmbeddingRequest(name, {"input": [text], "encoding_format": "float"}, "float"))
    try:
        (found,) = _QUESTION.decode(answer).data
    except (msgspec.MsgspecError, ValueError) as error:
        detail = f"the embedding cannot be read: {type(error).__name__}"
        raise ChatError(Code.UPSTREAM_MALFORMED, detail=detail) from error
    return found.embedding


def vectors_of(answer: bytes, count: int) -> list[bytes]:
    """Return the vectors of an answer, in the order of the texts; raises `ChatError(UPSTREAM_MALFORMED)`."""
    try:
        found = sorted(_VECTORS.decode(answer).data, key=lambda each: each.index)
        vectors = [quantized(b64decode(each.embedding, validate=True)) for each in found]
    except (msgspec.MsgspecError, ValueError, struct.error) as error:
        detail = f"the embeddings cannot be read: {type(error).__name__}"
        raise ChatError(Code.UPSTREAM_MALFORMED, detail=detail) from error
    if [each.index for each in found] != [*range(count)] or len(set(map(len, vectors))) != 1:
        raise ChatError(
            Code.UPSTREAM_MALFORMED, detail="the answer has not one vector of the same length for each text"
        )
    return vectors


def quantized(floats: bytes) -> bytes:
    """Return a vector with 8 bits for each number: its direction, which is all that a cosine has."""
    dimensions = len(floats) // FLOAT_BYTES
    if not 0 < dimensions <= MAX_DIMENSIONS:
        raise ValueError(f"a vector of {dimensions} numbers")
    numbers = struct.unpack(f"<{dimensions}f", floats)
    largest = max(map(abs, numbers))
    factor = _LARGEST / largest if largest else 0.0
    return struct.pack(f"{dimensions}b", *[round(number * factor) for number in numbers])


class ChunkVectors:
    """Gets the vectors of chunks: from Redis where a pod has made them, else from the model, for all pods."""

    def __init__(self, store: VectorStore, charge: Charge, executor: Executor) -> None:
        self.store = store
        self._charge = charge
        self._executor = executor

    async def complete(
        self, model: EmbeddingModel, name: str, found: dict[bytes, bytes], *, texts: Mapping[bytes, str]
    ) -> None:
        """Complete `found` with the vectors of all `texts`; raises `ChatError`, and can then be called again."""
        missing = [digest for digest in texts if digest not in found]
        try:
            while missing:
                batch = missing[:BATCH]
                known = await self.store.read(model.space, batch)
                if len(known) < len(batch):
                    if not await self.store.lead():
                        await asyncio.sleep(POLL_SECONDS)
                        continue
                    known = await self.store.read(model.space, batch)  # by who had the lease until now
                    known |= await self._made(model, name, {each: texts[each] for each in batch if each not in known})
                found |= known
                del missing[:BATCH]
        finally:
            await self.store.release()

    async def _made(self, model: EmbeddingModel, name: str, texts: Mapping[bytes, str]) -> dict[bytes, bytes]:
        if not texts:
            return {}
        with noting() as attempts:
            try:
                async with asyncio.timeout(BATCH_SECONDS):
                    vectors = await embedded(model, name, [*texts.values()], self._executor)
            except TimeoutError:
                raise ChatError(Code.UPSTREAM_TIMEOUT, detail=f"no vectors within {BATCH_SECONDS:.0f} s") from None
            finally:
                self._charge(name, attempts.ended)
        made = dict(zip(texts, vectors, strict=True))
        await self.store.write(model.space, made)
        return made
