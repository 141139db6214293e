"""The log in memory forgets a run when its time is over, and not before."""

import asyncio

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Token, Usage
from chatfleet_api.runs.log import memory
from chatfleet_api.runs.log.memory import MemoryRunLog
from chatfleet_api.runs.tail import Batch
from harness.pods.runs import TENANT, collect, memory_log, numbered

END_EVENT = Complete("stop", Usage())
END = Batch(2, (END_EVENT,))
KB = 1024
LARGE = Token("x" * KB)
pytestmark = pytest.mark.looptime


async def test_a_run_is_kept_for_its_time_after_the_end_however_long_it_took() -> None:
    log = memory_log(ttl_seconds=60)
    log.append(TENANT, "r", numbered(1, 1))
    await asyncio.sleep(600)
    assert await log.state(TENANT, "r") == "open"
    log.append(TENANT, "r", END)
    await asyncio.sleep(59)
    assert await log.state(TENANT, "r") == "ended"
    await asyncio.sleep(1)
    assert await log.state(TENANT, "r") == "unknown"


async def test_a_run_that_goes_on_is_not_forgotten_with_those_that_ended() -> None:
    log = memory_log(ttl_seconds=60)
    log.append(TENANT, "long", numbered(1, 1))
    log.append(TENANT, "short", numbered(1, 1))
    log.append(TENANT, "short", END)
    await asyncio.sleep(100)
    log.append(TENANT, "long", END)
    assert await log.state(TENANT, "short") == "unknown"
    assert await log.state(TENANT, "long") == "ended"


def finished(log: MemoryRunLog, run: str) -> None:
    log.append(TENANT, run, Batch(1, (LARGE, END_EVENT)))


async def known(log: MemoryRunLog, *runs: str) -> list[str]:
    return [run for run in runs if await log.state(TENANT, run) != "unknown"]


async def test_what_ended_first_is_forgotten_first_when_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES", 6 * KB)
    log = memory_log()
    log.append(TENANT, "open", numbered(1, 1))
    for run in "abcdef":
        finished(log, run)
    assert await known(log, "open", *"abcdef") == ["open", "d", "e", "f"]


async def test_a_long_run_keeps_its_newest_events_and_says_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_RUN_BYTES", 100 * KB)
    log = memory_log()
    for seq in range(1, 1000):
        log.append(TENANT, "r", Batch(seq, (LARGE,)))
    log.append(TENANT, "r", Batch(1000, (END_EVENT,)))
    assert (await collect(log.read(TENANT, "r", 950)))[-1] == (1000, END_EVENT)
    with pytest.raises(ChatError) as caught:
        await collect(log.read(TENANT, "r"))
    assert caught.value.code is Code.NOT_FOUND


async def test_a_reader_whose_next_event_goes_is_not_left_with_half_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_RUN_BYTES", 10 * KB)
    log = memory_log()
    log.append(TENANT, "r", Batch(1, (LARGE,)))
    reading = log.read(TENANT, "r")
    await anext(reading)
    for seq in range(2, 300):
        log.append(TENANT, "r", Batch(seq, (LARGE,)))
    with pytest.raises(ChatError) as caught:
        await collect(reading)
    assert caught.value.code is Code.NOT_FOUND


async def test_runs_that_go_on_keep_to_the_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES", 200 * KB)
    log = memory_log()
    for seq in range(1, 1001):
        for run in "abcd":
            log.append(TENANT, run, Batch(seq, (LARGE,)))
    kept = [len(await collect_now(log, run)) for run in "abcd"]
    assert 0 < sum(kept) * KB <= 400 * KB


async def collect_now(log: MemoryRunLog, run: str) -> list[int]:
    """Return the numbers of the events that can be read of a run that goes on."""
    for after in range(1001):
        try:
            batch = await anext(log.read(TENANT, run, after))
        except ChatError:
            continue
        return [*range(batch.first, batch.last + 1)]
    return []


async def test_what_is_forgotten_by_its_time_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES", 6 * KB)
    log = memory_log(ttl_seconds=60)
    for run in "abc":
        finished(log, run)
    await asyncio.sleep(60)
    for run in "def":
        finished(log, run)
    assert await known(log, *"abcdef") == ["d", "e", "f"]
