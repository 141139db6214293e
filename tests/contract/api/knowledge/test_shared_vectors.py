"""Pods share vectors through Redis: each text is embedded once, by one pod at a time, on servers of every topology."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from uuid_utils import uuid7

from chatfleet_api.knowledge import embedding
from chatfleet_api.knowledge.embedding import BATCH, ChunkVectors, digest_of
from chatfleet_api.knowledge.vector_store import VECTOR_SECONDS, RedisVectors, vector_key
from chatfleet_api.providers.vectors import EmbeddingRequest
from chatfleet_api.redis.client import RedisClient, open_redis
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies
from harness.upstream.embeddings import answer_of

EXECUTOR = ThreadPoolExecutor(1)
TEXTS = {digest_of(text): text for text in (f"refund {number}" for number in range(3 * BATCH))}


class Model:
    """A model by the table of the harness."""

    space = "space"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def create(self, request: EmbeddingRequest) -> bytes:
        await asyncio.sleep(0)
        self.asked += request.fields["input"]
        return answer_of(request.fields["input"])


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def client(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[RedisClient]:
    """A Redis that no other test has: each is a ChatDeployment of its own."""
    async with open_redis(topologies(request.param), "tests", f"vectors-{uuid7()}") as redis_client:
        yield redis_client


def store(client: RedisClient, process: str) -> RedisVectors:
    return RedisVectors(client, process, clock=time.monotonic)


async def test_each_text_is_embedded_once_for_all_pods(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "POLL_SECONDS", 0.01)
    model, found = Model(), [dict[bytes, bytes]() for _ in range(3)]
    pods = [ChunkVectors(store(client, str(pod)), lambda *_: None, EXECUTOR) for pod in range(3)]
    await asyncio.gather(*(pod.complete(model, "m", mine, texts=TEXTS) for pod, mine in zip(pods, found, strict=True)))
    assert sorted(model.asked) == sorted(TEXTS.values())
    assert found[0] == found[1] == found[2]
    assert found[0].keys() == TEXTS.keys()


async def test_one_pod_at_a_time_makes_vectors(client: RedisClient) -> None:
    one, two = store(client, "one"), store(client, "two")
    assert await one.lead()
    assert not await two.lead()
    await one.release()
    assert await two.lead()
    assert not await one.lead()


async def test_vectors_last_for_a_week_after_their_last_use(topologies: Topologies) -> None:
    async with open_redis(topologies(next(iter(TOPOLOGIES))), "tests", f"vectors-{uuid7()}") as client:
        vectors, digest = store(client, "one"), digest_of("a")
        key = vector_key(client, "space", digest)
        await vectors.write("space", {digest: b"abc"})
        assert 0 < await client.call("TTL", key) <= VECTOR_SECONDS
        await client.call("EXPIRE", key, 10)
        await vectors.keep("space", [digest])
        assert await client.call("TTL", key) > VECTOR_SECONDS - 60
        assert await vectors.read("space", [digest, digest_of("b")]) == {digest: b"abc"}
        assert await vectors.read("other", [digest]) == {}
