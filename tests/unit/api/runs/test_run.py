"""One run: numbered without gaps, ended once, readable at any pace, and stopped by whoever may."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Failed, Token, Usage
from chatfleet_api.runs.log.memory import MemoryRunLog
from chatfleet_api.runs.run import TAIL_EVENTS, Run
from chatfleet_api.runs.tail import Batch
from harness.pods.runs import TENANT, collect, memory_log, numbered, start

END = Complete("stop", Usage())
pytestmark = pytest.mark.looptime


@pytest.fixture
def log() -> MemoryRunLog:
    return memory_log()


@pytest.fixture
def run(log: MemoryRunLog) -> Run:
    return Run(TENANT, "r", log, seconds=600)


async def test_events_are_numbered_from_one_without_gaps(run: Run) -> None:
    run.publish((start(),))
    run.publish((Token("a"), Token("b")))
    run.publish((END,))
    assert await collect(run.read()) == [(1, start()), (2, Token("a")), (3, Token("b")), (4, END)]


async def test_nothing_follows_the_terminal_event(run: Run) -> None:
    run.publish((END,))
    run.publish((Token("late"),))
    assert await collect(run.read()) == [(1, END)]
    assert run.ended


@pytest.mark.parametrize("after", range(5))
async def test_a_reader_goes_on_where_it_was(run: Run, after: int) -> None:
    run.publish((start(), Token("a")))
    run.publish((Token("b"), END))
    assert [seq for seq, _ in await collect(run.read(after))] == list(range(after + 1, 5))


async def test_a_reader_gets_what_piled_up_in_one_batch(run: Run) -> None:
    for batch in (numbered(1, 2), numbered(3, 3), numbered(4, 6)):
        run.publish(batch.events)
    assert await anext(run.read(1)) == numbered(2, 6)


@pytest.mark.feature(44)
async def test_readers_at_any_pace_see_each_event_once(run: Run) -> None:
    """Some keep up, one is slow enough to be left behind by the tail and is served from the log."""

    async def read(pause: float) -> list[int]:
        seen: list[int] = []
        async for batch in run.read():
            seen.extend(range(batch.first, batch.last + 1))
            await asyncio.sleep(pause)
        return seen

    readers = [asyncio.create_task(read(pause)) for pause in (0, 0.1, 1, 40)]
    last = 4 * TAIL_EVENTS
    for seq in range(1, last):
        run.publish((Token(str(seq)),))
        await asyncio.sleep(0.1)
    run.publish((END,))
    assert [await reader for reader in readers] == [list(range(1, last + 1))] * len(readers)


@pytest.mark.feature(46)
async def test_the_tail_is_bounded_and_the_log_serves_what_it_dropped(log: MemoryRunLog, run: Run) -> None:
    asked: list[int] = []
    read = log.read

    def spy(tenant: str, run_id: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        asked.append(after)
        return read(tenant, run_id, after)

    log.read = spy  # type: ignore[assignment,method-assign]  # the same as the bound method
    for seq in range(1, TAIL_EVENTS + 2):
        run.publish((Token(str(seq)),))
    run.publish((END,))
    assert len(await collect(run.read(2))) == TAIL_EVENTS
    assert not asked
    assert len(await collect(run.read(1))) == TAIL_EVENTS + 1
    assert asked == [1]


@pytest.mark.feature(44)
async def test_a_reader_that_leaves_disturbs_nobody(run: Run) -> None:
    leaver = asyncio.create_task(collect(run.read()))
    stayer = asyncio.create_task(collect(run.read()))
    await asyncio.sleep(1)
    leaver.cancel()
    await asyncio.sleep(1)
    run.publish((END,))
    assert await stayer == [(1, END)]


async def test_a_stop_ends_the_block_at_once_and_names_the_first_asker(run: Run) -> None:
    asyncio.get_running_loop().call_later(5, run.cancel)
    asyncio.get_running_loop().call_later(5, run.stop, Code.INTERRUPTED)
    with pytest.raises(ChatError) as caught:
        async with run.stoppable():
            await asyncio.sleep(100)
    assert caught.value.code is Code.CANCELLED
    assert asyncio.get_running_loop().time() == 5


async def test_a_stop_before_the_block_keeps_it_from_beginning(run: Run) -> None:
    run.cancel()
    with pytest.raises(ChatError) as caught:
        async with run.stoppable():
            pytest.fail("began")
    assert caught.value.code is Code.CANCELLED


async def test_a_stop_after_the_block_has_no_effect(run: Run) -> None:
    async with run.stoppable():
        pass
    run.cancel()
    await asyncio.sleep(1)


async def test_a_run_that_lasts_too_long_is_interrupted(log: MemoryRunLog) -> None:
    with pytest.raises(ChatError) as caught:
        async with Run(TENANT, "r", log, seconds=30).stoppable():
            await asyncio.sleep(100)
    assert caught.value.code is Code.INTERRUPTED
    assert asyncio.get_running_loop().time() == 30


async def test_a_timeout_of_somebody_else_stays_what_it_is(run: Run) -> None:
    with pytest.raises(TimeoutError, match="theirs"):
        async with run.stoppable():
            raise TimeoutError("theirs")


async def test_readers_meet_a_failure_as_the_last_event(run: Run) -> None:
    failed = Failed.of(ChatError(Code.UPSTREAM_STALLED, retry_after=2))
    run.publish((failed,))
    assert await collect(run.read()) == [(1, failed)]
    assert (failed.retryable, failed.retry_after) == (True, 2)
