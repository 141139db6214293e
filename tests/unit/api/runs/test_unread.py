"""The queue of a run that is not logged: its one reader gets each event once, and what waits for it is bounded."""

import asyncio
import sys
from itertools import count

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Failed, Token, Usage
from chatfleet_api.runs import unread
from chatfleet_api.runs.run import Run
from chatfleet_api.runs.sizes import size_of
from chatfleet_api.runs.tail import Batch
from chatfleet_api.runs.unread import EVENTS_PER_READ, STEP_BYTES, Unread, UnreadBounds
from harness.pods.runs import TENANT, collect, numbered

END = Complete("stop", Usage())
LARGE = "x" * STEP_BYTES
pytestmark = pytest.mark.looptime


def begin(bounds: UnreadBounds | None = None) -> tuple[Run, Unread]:
    queue = Unread(bounds or UnreadBounds())
    return Run(TENANT, "r", queue, seconds=600), queue


def numbers(batch: Batch) -> list[int]:
    return [*range(batch.first, batch.last + 1)]


@pytest.mark.parametrize("pause", [0, 0.05, 1, 40])
async def test_a_reader_at_any_pace_gets_each_event_once(pause: float) -> None:
    run, _ = begin()
    seen: list[int] = []

    async def read() -> None:
        async for batch in run.read():
            seen.extend(numbers(batch))
            await asyncio.sleep(pause)

    reader = asyncio.create_task(read())
    for seq in range(1, 1000):
        run.publish((Token(str(seq)),))
        await asyncio.sleep(0.1)
    run.publish((END,))
    await reader
    assert seen == [*range(1, 1001)]


async def test_nothing_is_kept_that_the_reader_has() -> None:
    run, queue = begin()
    reading = run.read()
    blocks = 0
    for seq in range(1, 5000):
        run.publish((Token(f"word {seq}"),))
        await anext(reading)
        if seq == 100:
            blocks = sys.getallocatedblocks()
    assert queue.size < 1_000
    assert sys.getallocatedblocks() - blocks < 500
    run.publish((END,))
    assert await collect(reading) == [(5000, END)]


async def test_what_waits_is_measured_and_taken_in_parts() -> None:
    run, queue = begin()
    for seq in range(1, 1001):
        run.publish((Token(str(seq)),))
    waiting = queue.size
    assert waiting == sum(size_of(numbered(seq, seq)) for seq in range(2, 1001))
    reading = run.read()
    first = await anext(reading)
    assert numbers(first) == [*range(1, EVENTS_PER_READ + 1)]
    second = await anext(reading)
    assert second.first == first.last + 1
    assert 0 < queue.size < waiting
    run.publish((END,))
    assert (await collect(reading))[-1] == (1001, END)
    assert queue.size == 0


async def test_a_reader_goes_on_after_what_it_has_but_never_comes_back() -> None:
    run, _ = begin()
    for seq in range(1, 5):
        run.publish((Token(str(seq)),))
    run.publish((END,))
    assert [seq for seq, _ in await collect(run.read(2))] == [3, 4, 5]
    with pytest.raises(ChatError) as caught:
        await anext(run.read())
    assert caught.value.code is Code.NOT_FOUND


async def test_a_cancelled_reader_loses_nothing_that_it_did_not_get() -> None:
    """As the stream does that sends a heartbeat in between."""
    run, _ = begin()
    waiting = asyncio.create_task(anext(run.read()))
    await asyncio.sleep(1)
    waiting.cancel()
    run.publish((Token("a"), END))
    assert await collect(run.read()) == [(1, Token("a")), (2, END)]


async def ended(run: Run) -> ChatError | None:
    """Return why the run was stopped, None when it was not."""
    try:
        async with run.stoppable():
            await asyncio.sleep(1)
    except ChatError as error:
        return error
    return None


async def test_a_run_whose_reader_is_too_far_behind_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "MAX_RUN_BYTES", 10 * STEP_BYTES)
    run, queue = begin()
    for _ in range(10):
        run.publish((Token(LARGE),))
    assert await ended(run) is None
    run.publish((Token(LARGE),))
    error = await ended(run)
    assert error is not None
    assert (error.code, error.message) == (
        Code.INTERRUPTED,
        "The answer was interrupted because its client reads too slowly.",
    )
    run.publish((Failed.of(error),))
    assert [seq for seq, _ in await collect(run.read())] == [*range(1, 13)]
    assert queue.size == 0


@pytest.mark.feature(46)
async def test_the_readers_of_a_pod_share_a_bound_and_those_that_keep_up_are_safe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unread, "MAX_POD_BYTES", 10 * STEP_BYTES)
    bounds = UnreadBounds()
    runs = [begin(bounds)[0] for _ in range(4)]
    quick, _ = begin(bounds)
    for number in count(1):
        for run in runs:
            run.publish((Token(LARGE),))
        quick.publish((Token(str(number)),))
        if any([await ended(run) for run in runs]):
            break
    assert number < 5
    assert await ended(quick) is None


async def test_what_nobody_reads_any_more_counts_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "MAX_POD_BYTES", 3 * STEP_BYTES)
    bounds = UnreadBounds()
    for _ in range(20):
        run, _ = begin(bounds)
        run.publish((Token(LARGE),))
        run.publish((Token(LARGE),))
        assert await ended(run) is None
