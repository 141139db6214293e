"""What only the run log in Redis promises: few commands, nothing twice, and patience with a Redis that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis.asyncio
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Token, Usage
from chatfleet_api.redis.client import open_redis
from chatfleet_api.redis.connect import ANSWER_SECONDS
from chatfleet_api.runs.log import reader as log_reader
from chatfleet_api.runs.log import write_buffer
from chatfleet_api.runs.log.redis import RedisRunLog, open_redis_run_log
from chatfleet_api.runs.run import TAIL_EVENTS, Run
from chatfleet_api.runs.tail import Batch
from harness.faults.proxy import Proxy, proxied
from harness.pods.fleet_pod import Following
from harness.pods.runs import TENANT, collect, conversations, numbered, streaming
from harness.polling import eventually_async

END = Complete("stop", Usage())
LIMITS = streaming(log_ttl_seconds=60, max_stream_seconds=600)


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator["redis.asyncio.Redis"]:
    """The server itself, past any proxy."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with proxied(redis_url) as opened:
        yield opened


@pytest.fixture
async def log(proxy: Proxy) -> AsyncIterator[RedisRunLog]:
    """A pod's log, which reaches Redis through the proxy."""
    async with (
        open_redis(proxy.redis_url, "tests", "chat") as redis_client,
        open_redis_run_log(redis_client, LIMITS, conversations()) as opened,
    ):
        yield opened


@pytest.fixture
async def other(redis_url: str) -> AsyncIterator[RedisRunLog]:
    """Another pod's log."""
    async with (
        open_redis(redis_url, "tests", "chat") as redis_client,
        open_redis_run_log(redis_client, LIMITS, conversations()) as opened,
    ):
        yield opened


@pytest.fixture
def run() -> str:
    return str(uuid7())


async def numbers(log: RedisRunLog, run: str, after: int = 0) -> list[int]:
    return [seq for seq, _ in await collect(log.read(TENANT, run, after))]


async def flush_fails(log: RedisRunLog, run: str) -> None:
    with pytest.raises(ChatError) as caught:
        await log.flush(TENANT, run)
    assert caught.value.code is Code.STORAGE_UNAVAILABLE
    assert caught.value.retry_after


def key(run: str) -> str:
    return f"chatfleet:{{tests/chat/default/{run}}}:events"


async def test_all_runs_of_an_interval_are_written_with_one_command(
    log: RedisRunLog, server: "redis.asyncio.Redis"
) -> None:
    runs = [str(uuid7()) for _ in range(200)]
    await server.config_resetstat()
    for seq in (1, 2, 3):
        for run in runs:
            log.append(TENANT, run, numbered(seq, seq))
    await log.flush(TENANT, runs[-1])
    assert (await server.info("commandstats"))["cmdstat_eval"]["calls"] == 1
    assert await server.xlen(key(runs[0])) == 1


async def test_a_run_expires_after_its_longest_life_and_sooner_once_it_ended(
    log: RedisRunLog, server: "redis.asyncio.Redis", run: str
) -> None:
    log.append(TENANT, run, numbered(1, 1))
    await log.flush(TENANT, run)
    assert 650 < await server.ttl(key(run)) <= 660
    log.append(TENANT, run, Batch(2, (END,)))
    await log.flush(TENANT, run)
    assert 50 < await server.ttl(key(run)) <= 60


async def test_a_write_whose_reply_was_lost_is_not_doubled(
    log: RedisRunLog, proxy: Proxy, server: "redis.asyncio.Redis", run: str
) -> None:
    log.append(TENANT, run, numbered(1, 2))
    await log.flush(TENANT, run)
    proxy.lose_reply()
    log.append(TENANT, run, numbered(3, 4))
    log.append(TENANT, run, Batch(5, (END,)))
    await log.flush(TENANT, run)
    assert proxy.replies_lost == 1
    assert [entry_id for entry_id, _ in await server.xrange(key(run)) or ()] == [b"2-0", b"5-0"]
    assert await numbers(log, run) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("outage", ["cut", "hang"])
async def test_what_is_appended_while_redis_is_away_is_written_when_it_is_back(
    log: RedisRunLog, other: RedisRunLog, proxy: Proxy, run: str, outage: str
) -> None:
    """A reader on this pod sees no difference; one on another pod gets all of it afterwards."""
    here = Run(TENANT, run, log, seconds=600)
    here.publish((Token("first"),))
    await log.flush(TENANT, run)
    there = asyncio.create_task(numbers(other, run))
    await getattr(proxy, outage)()
    for index in range(20):
        here.publish((Token(str(index)),))
        if index % 10 == 0:
            await flush_fails(log, run)
    await flush_fails(log, run)
    here.publish((END,))
    async with asyncio.timeout(1):
        assert len(await collect(here.read())) == 22
    await proxy.heal()
    async with asyncio.timeout(5):
        assert await there == list(range(1, 23))
    await log.flush(TENANT, run)


@pytest.mark.parametrize("outage", ["cut", "hang"])
async def test_a_reader_is_told_soon_that_redis_is_away(log: RedisRunLog, proxy: Proxy, run: str, outage: str) -> None:
    await getattr(proxy, outage)()
    began = asyncio.get_running_loop().time()
    with pytest.raises(ChatError) as caught:
        await numbers(log, run)
    assert caught.value.code is Code.STORAGE_UNAVAILABLE
    assert asyncio.get_running_loop().time() - began < ANSWER_SECONDS + 0.5


async def test_a_reader_that_follows_waits_through_an_outage(log: RedisRunLog, proxy: Proxy, run: str) -> None:
    log.append(TENANT, run, numbered(1, 1))
    await log.flush(TENANT, run)
    reader = Following(log.read(TENANT, run))
    await reader.seen(1)
    await proxy.cut()
    log.append(TENANT, run, Batch(2, (END,)))
    await flush_fails(log, run)
    await proxy.heal()
    assert [seq for seq, _ in await reader.whole()] == [1, 2]


async def test_beyond_the_bound_a_run_loses_what_is_unwritten_and_says_so(
    log: RedisRunLog, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    small, large = str(uuid7()), str(uuid7())
    for run in (small, large):
        log.append(TENANT, run, numbered(1, 1))
        await log.flush(TENANT, run)
    monkeypatch.setattr(write_buffer, "MAX_BUFFERED_BYTES", 2000)
    await proxy.cut()
    log.append(TENANT, small, numbered(2, 2))
    for seq in range(2, 50):
        log.append(TENANT, large, Batch(seq, (Token("x" * 100),)))
        if seq == 40:
            await flush_fails(log, large)
    log.append(TENANT, large, Batch(50, (END,)))
    log.append(TENANT, small, Batch(3, (END,)))
    await flush_fails(log, small)
    await proxy.heal()
    await log.flush(TENANT, small)
    assert await numbers(log, small) == [1, 2, 3]
    assert await log.state(TENANT, large) == "ended"
    reader = log.read(TENANT, large)
    assert await anext(reader) == numbered(1, 1)
    with pytest.raises(ChatError) as caught:
        await anext(reader)
    assert caught.value.code is Code.NOT_FOUND
    assert caplog.text.count(f"the log of run {large} has a gap") == 1
    assert small not in caplog.text


async def test_a_reader_of_a_log_that_vanished_is_told(
    log: RedisRunLog, server: "redis.asyncio.Redis", run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "IDLE_SECONDS", 0.2)
    log.append(TENANT, run, numbered(1, 1))
    await log.flush(TENANT, run)
    reader = log.read(TENANT, run)
    assert await anext(reader) == numbered(1, 1)
    await server.delete(key(run))
    with pytest.raises(ChatError) as caught:
        await anext(reader)
    assert caught.value.code is Code.NOT_FOUND


async def test_a_slow_reader_on_the_pod_itself_goes_on_from_redis(log: RedisRunLog, run: str) -> None:
    here = Run(TENANT, run, log, seconds=600)
    last = 3 * TAIL_EVENTS
    for index in range(1, last):
        here.publish((Token(str(index)),))
    here.publish((END,))
    assert [seq for seq, _ in await collect(here.read())] == list(range(1, last + 1))


async def test_hundreds_of_readers_share_the_connections_of_a_pod(
    log: RedisRunLog, other: RedisRunLog, server: "redis.asyncio.Redis"
) -> None:
    runs = [str(uuid7()) for _ in range(300)]
    for run in runs:
        log.append(TENANT, run, numbered(1, 1))
    await log.flush(TENANT, runs[-1])
    readers = [asyncio.create_task(numbers(other, run)) for run in runs for _ in range(2)]
    for seq in range(2, 6):
        for run in runs:
            log.append(TENANT, run, Batch(seq, (END,)) if seq == 5 else numbered(seq, seq))
        await log.flush(TENANT, runs[-1])
    assert [await reader for reader in readers] == [[1, 2, 3, 4, 5]] * 600
    assert len(await server.client_list()) <= 2 * 8 + 1


async def test_what_is_appended_last_is_written_when_the_pod_ends(other: RedisRunLog, redis_url: str, run: str) -> None:
    async with AsyncExitStack() as stack:
        redis_client = await stack.enter_async_context(open_redis(redis_url, "tests", "chat"))
        log = await stack.enter_async_context(open_redis_run_log(redis_client, LIMITS, conversations()))
        log.append(TENANT, run, Batch(1, (END,)))
    assert await numbers(other, run) == [1]


async def test_what_is_no_id_never_reaches_redis(log: RedisRunLog, proxy: Proxy) -> None:
    await proxy.cut()
    with pytest.raises(ChatError) as caught:
        await numbers(log, "}:*")
    assert caught.value.code is Code.NOT_FOUND
    assert await log.state(TENANT, "}:*") == "unknown"


async def has_looked(server: "redis.asyncio.Redis") -> bool:
    """Return whether a reader has found nothing of its run."""
    return "cmdstat_xrevrange" in await server.info("commandstats")


async def test_a_reader_on_another_pod_may_come_before_the_first_event(
    log: RedisRunLog, other: RedisRunLog, server: "redis.asyncio.Redis", run: str
) -> None:
    await server.config_resetstat()
    early = asyncio.create_task(numbers(other, run))
    await eventually_async(lambda: has_looked(server))
    log.append(TENANT, run, Batch(1, (END,)))
    assert await early == [1]
