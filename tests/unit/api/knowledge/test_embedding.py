"""Vectors of texts: read from answers, made in batches, and once where they are shared."""

import json
import math
import struct
from base64 import b64encode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from typing_extensions import override

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.knowledge.embedding import BATCH, ChunkVectors, digest_of, quantized, vectors_of
from chatfleet_api.knowledge.vector_index import VectorIndex
from chatfleet_api.knowledge.vector_store import NoStore
from chatfleet_api.providers.vectors import EmbeddingRequest
from chatfleet_api.usage.attempts import Attempt, ended

EXECUTOR = ThreadPoolExecutor(1)


def answer(*vectors: Sequence[float], first: int = 0) -> bytes:
    packed = [b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
    return json.dumps({"data": [{"index": at, "embedding": one} for at, one in enumerate(packed, first)]}).encode()


class Model:
    """A model whose vectors are the lengths of texts; it fails where a text has the word `broken`."""

    space = "s"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def create(self, request: EmbeddingRequest) -> bytes:
        texts = request.fields["input"]
        if "broken" in texts:
            raise ChatError(Code.UPSTREAM_ERROR)
        self.asked.append(texts)
        ended(Attempt("p", "m", "up", Usage(len(texts))))
        return answer(*([1.0, float(len(text))] for text in texts))


class Shared(NoStore):
    """What pods of a test share."""

    def __init__(self) -> None:
        self.vectors: dict[bytes, bytes] = {}

    @override
    async def read(self, space: str, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        assert space == "s"
        return {digest: self.vectors[digest] for digest in digests if digest in self.vectors}

    @override
    async def write(self, space: str, vectors: Mapping[bytes, bytes]) -> None:
        assert space == "s"
        self.vectors |= vectors


def texts_of(*texts: str) -> dict[bytes, str]:
    return {digest_of(text): text for text in texts}


def test_vectors_are_read_in_the_order_of_the_texts() -> None:
    data = json.loads(answer([1.0, 0.0], [0.0, -2.0]))["data"]
    assert vectors_of(json.dumps({"data": data[::-1]}).encode(), 2) == [bytes([127, 0]), bytes([0, 0x81])]


def test_a_vector_keeps_its_direction() -> None:
    floats = [math.sin(number) * 0.01 for number in range(256)]
    numbers = struct.unpack("256b", quantized(struct.pack("<256f", *floats)))
    dot = sum(a * b for a, b in zip(floats, numbers, strict=True))
    assert dot / math.hypot(*floats) / math.hypot(*numbers) > 0.9999
    assert quantized(struct.pack("<2f", 0, 0)) == bytes(2)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"data": [{"index": 0, "embedding": "?"}]}',
        b'{"data": [{"index": 0, "embedding": ""}]}',
        b'{"data": [{"index": 0, "embedding": "AAA="}]}',
        answer([1.0], first=1),
        answer([1.0], [2.0]),
        answer([math.nan]),
        answer([math.inf, 1.0]),
        answer([1.0] * 8193),
    ],
)
def test_what_are_no_vectors_of_the_texts_is_refused(body: bytes) -> None:
    with pytest.raises(ChatError) as refused:
        vectors_of(body, 1)
    assert refused.value.code is Code.UPSTREAM_MALFORMED


async def test_texts_are_embedded_in_batches_and_charged() -> None:
    model, charged, found = Model(), list[tuple[str, int]](), dict[bytes, bytes]()
    maker = ChunkVectors(NoStore(), lambda name, used: charged.append((name, used[0].usage.input_tokens)), EXECUTOR)
    texts = texts_of(*(f"text {number}" for number in range(BATCH + 1)))
    await maker.complete(model, "m", found, texts=texts)
    assert [len(batch) for batch in model.asked] == [BATCH, 1]
    assert charged == [("m", BATCH), ("m", 1)]
    assert found.keys() == texts.keys()


async def test_what_is_known_or_shared_is_not_made_again() -> None:
    store, model = Shared(), Model()
    maker = ChunkVectors(store, lambda *_: None, EXECUTOR)
    await maker.complete(model, "m", {}, texts=texts_of("one", "two"))
    found = {digest_of("three"): b"\1\1"}
    await maker.complete(model, "m", found, texts=texts_of("one", "three", "four"))
    assert model.asked == [["one", "two"], ["four"]]
    assert len(found) == 3


class Made(Shared):
    """What another pod has made just before it let this one have the lease."""

    @override
    async def lead(self) -> bool:
        self.vectors |= dict.fromkeys(texts_of("one", "two"), b"\1\1")
        return True


async def test_what_the_former_holder_of_the_lease_has_made_is_not_made_again() -> None:
    model, found = Model(), dict[bytes, bytes]()
    await ChunkVectors(Made(), lambda *_: None, EXECUTOR).complete(model, "m", found, texts=texts_of("one", "two"))
    assert model.asked == []
    assert len(found) == 2


async def test_after_a_failure_what_was_made_is_not_lost() -> None:
    store, model = Shared(), Model()
    maker = ChunkVectors(store, lambda *_: None, EXECUTOR)
    texts = texts_of(*map(str, range(BATCH)), "broken")
    with pytest.raises(ChatError):
        await maker.complete(model, "m", {}, texts=texts)
    assert len(store.vectors) == BATCH


def test_the_nearest_chunks_are_found_among_some_rows() -> None:
    vectors = {bytes([at]): bytes([at, 127 - at]) for at in range(0, 100, 10)}
    index = VectorIndex("s", [*vectors], vectors)
    nearest = index.nearest_to(bytes([127, 0]))
    assert nearest(range(10), 3) == [9, 8, 7]
    assert nearest(range(2, 5), 9) == [4, 3, 2]
    assert nearest(range(3, 3), 9) == []
    assert index.known(bytes([30])) == bytes([30, 97])
    assert index.known(b"?") is None
