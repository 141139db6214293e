"""What every run log promises: the same tests on memory and on real Redis servers of every topology."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Failed, Reasoning, Start, Token, ToolCall, Usage
from chatfleet_api.redis.client import open_redis
from chatfleet_api.runs.log import tailing as following
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.log.memory import MemoryRunLog
from chatfleet_api.runs.opening import open_run_log
from chatfleet_api.runs.tail import Batch
from harness.pods.fleet_pod import reached
from harness.pods.runs import TENANT, collect, conversations, loop_clock, numbered, streaming
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

END = Complete("stop", Usage())


@pytest.fixture(params=["memory", *TOPOLOGIES, *RESTRICTED])
async def log(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[RunLog]:
    if request.param == "memory":
        yield MemoryRunLog(streaming(log_ttl_seconds=60), clock=loop_clock)
        return
    async with (
        open_redis(topologies(request.param), "tests", "chat") as redis_client,
        open_run_log(
            redis_client, streaming(log_ttl_seconds=60, max_stream_seconds=60), conversations(), clock=loop_clock
        ) as opened,
    ):
        while not await reached(redis_client):  # a cluster's client takes its time to find its servers
            pass
        yield opened


@pytest.fixture
def run() -> str:
    return str(uuid7())


async def numbers(log: RunLog, run: str, after: int = 0) -> list[int]:
    return [seq for seq, _ in await collect(log.read(TENANT, run, after))]


async def failure(log: RunLog, run: str, tenant: str = TENANT) -> Code:
    with pytest.raises(ChatError) as caught:
        await anext(log.read(tenant, run))
    return caught.value.code


async def test_a_finished_run_is_read_as_it_was_written(log: RunLog, run: str) -> None:
    events = (
        Start(run, "m", 1, "conversation", "message"),
        Reasoning("hm"),
        Token("naïve 日本 \n\r\u2028 \x00"),
        ToolCall(0, "id", "name", "{"),
        ToolCall(0, arguments="}"),
        Complete("tool_calls", Usage(1, 2, estimated=True), 5, 3),
    )
    log.append(TENANT, run, Batch(1, events[:2]))
    log.append(TENANT, run, Batch(3, events[2:]))
    await log.flush(TENANT, run)
    assert await collect(log.read(TENANT, run)) == list(enumerate(events, 1))


async def test_a_failure_is_an_end_like_any_other(log: RunLog, run: str) -> None:
    failed = Failed.of(ChatError(Code.UPSTREAM_OVERLOADED, retry_after=1.5))
    log.append(TENANT, run, Batch(1, (failed,)))
    await log.flush(TENANT, run)
    assert await collect(log.read(TENANT, run)) == [(1, failed)]


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
async def test_a_reader_goes_on_where_it_was_also_within_an_entry(log: RunLog, run: str, after: int) -> None:
    log.append(TENANT, run, numbered(1, 3))
    await log.flush(TENANT, run)
    log.append(TENANT, run, Batch(4, (END,)))
    await log.flush(TENANT, run)
    assert await numbers(log, run, after) == list(range(after + 1, 5))


async def test_a_reader_that_has_seen_more_than_there_is_is_told_so(log: RunLog, run: str) -> None:
    log.append(TENANT, run, Batch(1, (END,)))
    await log.flush(TENANT, run)
    with pytest.raises(ChatError) as caught:
        await numbers(log, run, 2)
    assert caught.value.code is Code.NOT_FOUND


async def test_a_reader_follows_a_run_that_goes_on(log: RunLog, run: str) -> None:
    log.append(TENANT, run, numbered(1, 2))
    await log.flush(TENANT, run)
    readers = [asyncio.create_task(numbers(log, run, after)) for after in (0, 1, 2)]
    for seq in range(3, 20):
        log.append(TENANT, run, numbered(seq, seq))
        if seq % 3 == 0:
            await log.flush(TENANT, run)
    log.append(TENANT, run, Batch(20, (END,)))
    assert [await reader for reader in readers] == [list(range(after + 1, 21)) for after in (0, 1, 2)]


async def test_a_run_of_more_entries_than_one_read_takes_is_read_whole(
    log: RunLog, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ENTRIES_PER_READ", 3)
    for seq in range(1, 20):
        log.append(TENANT, run, numbered(seq, seq))
        await log.flush(TENANT, run)
    log.append(TENANT, run, Batch(20, (END,)))
    assert await numbers(log, run) == list(range(1, 21))


async def test_runs_do_not_mix(log: RunLog) -> None:
    runs = [str(uuid7()) for _ in range(20)]
    for index, run in enumerate(runs):
        log.append(TENANT, run, Batch(1, (Token(str(index)), END)))
    await asyncio.gather(*(log.flush(TENANT, run) for run in runs))
    for index, run in enumerate(runs):
        assert (await collect(log.read(TENANT, run)))[0] == (1, Token(str(index)))


async def test_an_unknown_run_is_not_found(log: RunLog, run: str) -> None:
    assert await failure(log, run) is Code.NOT_FOUND
    assert await log.state(TENANT, run) == "unknown"


async def test_what_is_no_id_is_not_found(log: RunLog) -> None:
    assert await failure(log, "}:*") is Code.NOT_FOUND
    assert await log.state(TENANT, "}:*") == "unknown"


async def test_no_tenant_sees_the_runs_of_another(log: RunLog, run: str) -> None:
    log.append(TENANT, run, Batch(1, (END,)))
    await log.flush(TENANT, run)
    assert await failure(log, run, "other") is Code.NOT_FOUND
    assert await log.state("other", run) == "unknown"


async def test_the_end_is_the_last_event_so_far(log: RunLog, run: str) -> None:
    assert await log.end(TENANT, run) is None
    assert await log.end(TENANT, "}:*") is None
    log.append(TENANT, run, numbered(1, 3))
    await log.flush(TENANT, run)
    assert await log.end(TENANT, run) == (3, False)
    log.append(TENANT, run, Batch(4, (END,)))
    await log.flush(TENANT, run)
    assert await log.end(TENANT, run) == (4, True)
    assert await log.end("other", run) is None


async def test_the_state_tells_whether_the_end_is_there(log: RunLog, run: str) -> None:
    log.append(TENANT, run, numbered(1, 1))
    await log.flush(TENANT, run)
    assert await log.state(TENANT, run) == "open"
    log.append(TENANT, run, Batch(2, (END,)))
    await log.flush(TENANT, run)
    assert await log.state(TENANT, run) == "ended"


async def test_a_flush_of_nothing_returns_at_once(log: RunLog, run: str) -> None:
    await log.flush(TENANT, run)
