"""When the run log is written: tokens gather, an end does not wait, and neither costs more writes than that takes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

import pytest

from chatfleet_api.domain.events import Complete, Token, Usage
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.log.writer import FLUSH_SECONDS, URGENT_BURST, URGENT_SECONDS, LogWriter
from chatfleet_api.runs.tail import Batch
from harness.pods.runs import TENANT, conversations, streaming

pytestmark = pytest.mark.looptime
ROUND_TRIP = 0.001
END = Complete("stop", Usage())


class FakeRedis:
    """Notes when it was written to, and takes a moment for it."""

    clustered = False

    def __init__(self) -> None:
        self.writes: list[float] = []

    def key(self, *parts: str) -> str:
        return "/".join(parts)

    async def call(self, *_: Any) -> list[Any]:  # noqa: ANN401  # any command
        self.writes.append(now())
        await asyncio.sleep(ROUND_TRIP)
        return []


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
async def writer(redis: FakeRedis) -> AsyncIterator[LogWriter]:
    writer = LogWriter(cast("RedisClient", redis), streaming(), conversations())
    task = asyncio.create_task(writer.write_forever())
    yield writer
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def tokens(writer: LogWriter, run: str, seconds: float) -> int:
    """Append a token each millisecond, and return their number."""
    until, seq = now() + seconds, 0
    while now() < until:
        seq += 1
        writer.append(TENANT, run, Batch(seq, (Token("x"),)))
        await asyncio.sleep(0.001)
    return seq


async def test_an_end_is_written_at_once_although_tokens_gather(writer: LogWriter) -> None:
    others = asyncio.create_task(tokens(writer, "other", 0.1))
    for number in range(5):
        await asyncio.sleep(0.017)
        begun = now()
        writer.append(TENANT, f"run{number}", Batch(1, (END,)))
        await writer.flush(TENANT, f"run{number}")
        assert now() - begun <= URGENT_SECONDS + 2 * ROUND_TRIP
    await others


async def test_a_first_token_is_written_at_once_although_tokens_gather(writer: LogWriter) -> None:
    others = asyncio.create_task(tokens(writer, "other", 0.1))
    await asyncio.sleep(0.05)
    for seq in (1, 2):
        begun = now()
        writer.append(TENANT, "run", Batch(seq, (Token("x"),)))
        await writer.flush(TENANT, "run")
        assert now() - begun <= URGENT_SECONDS + 2 * ROUND_TRIP
    await others


async def test_tokens_alone_are_written_once_an_interval(writer: LogWriter, redis: FakeRedis) -> None:
    await tokens(writer, "run", 0.3)
    assert len(redis.writes) <= 0.3 / FLUSH_SECONDS + 4


async def test_any_number_of_endings_costs_few_writes(writer: LogWriter, redis: FakeRedis) -> None:
    for number in range(300):
        writer.append(TENANT, f"run{number}", Batch(1, (END,)))
        await asyncio.sleep(0.001)
    assert len(redis.writes) <= 0.3 / URGENT_SECONDS + 0.3 / FLUSH_SECONDS + URGENT_BURST + 2


async def test_endings_do_not_put_off_tokens(writer: LogWriter) -> None:
    for number in range(100):
        writer.append(TENANT, f"run{number}", Batch(1, (END,)))
        await asyncio.sleep(0.001)
    begun = now()
    writer.append(TENANT, "run", Batch(1, (Token("x"),)))
    await writer.flush(TENANT, "run")
    assert now() - begun <= FLUSH_SECONDS + 2 * ROUND_TRIP
