"""The queue, on virtual time: nothing here sleeps for real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from chatfleet_operator.model.errors import Refused, Retry
from chatfleet_operator.model.requeue import Requeue, Result
from chatfleet_operator.process.workqueue import QueueConfig, WorkQueue

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

MIDDLE = 0.5
"""Chance that neither lengthens nor shortens a pause."""
SETTLED, UNSETTLED = Result(Requeue.SETTLED), Result(Requeue.UNSETTLED)
FAILED, GONE, IMMEDIATELY = Result(Requeue.FAILED), Result(Requeue.GONE), Result(Requeue.IMMEDIATELY)
REFUSED = Result(Requeue.REFUSED)


@dataclass
class RecordedQueue:
    """A queue, and what it has done: `reconciliations` are (key, start, end) in the order in which they ended."""

    requeues: list[Result | BaseException] = field(default_factory=list)
    """What each reconciliation ends with, in order; then SETTLED."""
    takes: float = 0.0
    rand: float = MIDDLE
    config: QueueConfig = field(default_factory=QueueConfig)
    reconciliations: list[tuple[str, float, float]] = field(default_factory=list)
    recorded: list[tuple[float, bool]] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0

    def __post_init__(self) -> None:
        self.queue: WorkQueue[str] = WorkQueue(self.work, self, lambda: self.rand, self.config)

    async def work(self, key: str) -> Result:
        started = now()
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(self.takes)
        self.busy -= 1
        self.reconciliations.append((key, started, now()))
        end = self.requeues.pop(0) if self.requeues else SETTLED
        if isinstance(end, BaseException):
            raise end
        return end

    def reconciled(self, seconds: float, *, failed: bool) -> None:
        self.recorded.append((round(seconds, 3), failed))

    def starts(self, key: str = "a") -> list[float]:
        return [round(start, 3) for known, start, _ in self.reconciliations if known == key]


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def running(recorded: RecordedQueue) -> AsyncIterator[WorkQueue[str]]:
    task = asyncio.create_task(recorded.queue.run())
    await asyncio.sleep(0)
    try:
        yield recorded.queue
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_key_is_reconciled_after_the_debounce() -> None:
    recorded = RecordedQueue()
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(1)

    assert recorded.starts() == [0.1]


async def test_a_burst_of_events_is_one_reconciliation_that_does_not_wait_for_the_burst_to_end() -> None:
    recorded = RecordedQueue()
    async with running(recorded) as queue:
        for _ in range(9):
            queue.enqueue("a")
            await asyncio.sleep(0.01)
        assert recorded.starts() == []
        await asyncio.sleep(1)

    assert recorded.starts() == [0.1]


async def test_a_key_is_never_reconciled_twice_at_a_time_and_an_event_meanwhile_leads_to_one_more() -> None:
    recorded = RecordedQueue(takes=5)
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(1)
        queue.enqueue("a")
        queue.enqueue("a")
        await asyncio.sleep(11)

    assert recorded.busiest == 1
    assert recorded.starts() == [0.1, 5.2]


async def test_keys_run_side_by_side_up_to_the_number_of_workers() -> None:
    recorded = RecordedQueue(takes=1, config=QueueConfig(workers=3))
    async with running(recorded) as queue:
        for key in "abcdefg":
            queue.enqueue(key)
        await asyncio.sleep(0.5)
        assert queue.depth() == 4
        assert round(queue.age(), 3) == 0.4
        await asyncio.sleep(4)

    assert recorded.busiest == 3
    assert sorted(key for key, _, _ in recorded.reconciliations[:7]) == list("abcdefg")


async def test_a_key_that_waits_for_a_worker_waits_once_however_often_it_is_woken() -> None:
    recorded = RecordedQueue(takes=5, config=QueueConfig(workers=1))
    async with running(recorded) as queue:
        queue.enqueue("b")
        queue.enqueue("a")
        for _ in range(3):
            await asyncio.sleep(1)
            queue.enqueue("a")
        assert queue.depth() == 1
        await asyncio.sleep(10)

    assert recorded.starts() == [5.1]


async def test_a_slow_key_holds_up_no_other() -> None:
    async def work(key: str) -> Result:
        await asyncio.sleep(1000 if key == "slow" else 0)
        done.append(key)
        return SETTLED

    done: list[str] = []
    recorded = RecordedQueue(config=QueueConfig(workers=2))
    recorded.queue.reconcile = work
    async with running(recorded) as queue:
        queue.enqueue("slow")
        queue.enqueue("a")
        await asyncio.sleep(25)

    assert done == ["a", "a", "a"]


async def test_at_rest_a_key_is_looked_at_with_every_resync() -> None:
    recorded = RecordedQueue()
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(35)

    assert recorded.starts() == [0.1, 10.1, 20.1, 30.1]


@pytest.mark.parametrize(("rand", "second"), [(0.0, 9.1), (MIDDLE, 10.1), (1.0, 11.1)])
async def test_resyncs_spread_over_time(rand: float, second: float) -> None:
    recorded = RecordedQueue(rand=rand)
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(12)

    assert recorded.starts() == [0.1, second]


async def test_while_something_is_under_way_it_requeues_soon_and_then_with_back_off() -> None:
    recorded = RecordedQueue(requeues=[UNSETTLED] * 7)
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(40)

    assert recorded.starts() == [0.1, 1.1, 3.1, 7.1, 15.1, 25.1, 35.1]


async def test_while_something_fails_the_pauses_grow_to_a_minute() -> None:
    recorded = RecordedQueue(requeues=[FAILED] * 9)
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(250)

    assert recorded.starts() == [0.1, 1.1, 3.1, 7.1, 15.1, 31.1, 63.1, 123.1, 183.1, 243.1]


@pytest.mark.parametrize("refusal", [REFUSED, Refused("cannot patch resource")])
async def test_what_is_refused_is_tried_again_as_often_as_at_rest_since_no_event_announces_that_its_cause_is_gone(
    refusal: Result | BaseException,
) -> None:
    recorded = RecordedQueue(requeues=[refusal] * 7)
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(40)

    assert recorded.starts() == [0.1, 1.1, 3.1, 7.1, 15.1, 25.1, 35.1]
    assert all(failed for _, failed in recorded.recorded)


async def test_an_event_ends_the_delay_and_resets_the_back_off() -> None:
    recorded = RecordedQueue(requeues=[FAILED] * 6)
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(16)
        queue.enqueue("a")
        await asyncio.sleep(2)

    assert recorded.starts() == [0.1, 1.1, 3.1, 7.1, 15.1, 16.1, 17.1]


async def test_success_begins_anew_too() -> None:
    recorded = RecordedQueue(requeues=[FAILED, FAILED, SETTLED, FAILED])
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(14.5)

    assert recorded.starts() == [0.1, 1.1, 3.1, 13.1, 14.1]


async def test_the_server_may_ask_for_a_longer_pause() -> None:
    recorded = RecordedQueue(requeues=[Retry("slow down", after=30), Result(Requeue.FAILED, min_delay=20)])
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(51)

    assert recorded.starts() == [0.1, 30.1, 50.1]


async def test_a_next_step_that_waits_for_nothing_follows_at_once() -> None:
    recorded = RecordedQueue(requeues=[IMMEDIATELY])
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(1)

    assert recorded.starts() == [0.1, 0.1]


async def test_what_is_gone_is_forgotten_and_may_come_back() -> None:
    recorded = RecordedQueue(requeues=[GONE])
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(100)
        assert recorded.starts() == [0.1]
        assert "a" not in queue
        queue.enqueue("a")
        await asyncio.sleep(1)

    assert recorded.starts() == [0.1, 100.1]


async def test_an_event_during_the_last_reconciliation_of_a_key_is_not_lost() -> None:
    recorded = RecordedQueue(requeues=[GONE], takes=5)
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(1)
        queue.enqueue("a")
        await asyncio.sleep(9.5)

    assert recorded.starts() == [0.1, 5.2]


@pytest.mark.parametrize("error", [Refused("no"), Retry("later"), ValueError("a bug")])
async def test_a_reconciliation_that_raises_is_retried_and_stops_no_other_key(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = RecordedQueue(requeues=[error])
    async with running(recorded) as queue:
        queue.enqueue("a")
        queue.enqueue("b")
        await asyncio.sleep(2)

    assert recorded.starts() == [0.1, 1.1]
    assert recorded.starts("b") == [0.1]
    assert str(error) in caplog.text
    assert (0.0, True) in recorded.recorded


async def test_keys_enqueued_before_the_start_are_kept() -> None:
    """So a standby loses nothing that happened before it became the leader."""
    recorded = RecordedQueue()
    recorded.queue.enqueue("a")
    await asyncio.sleep(50)
    async with running(recorded):
        await asyncio.sleep(1)

    assert recorded.starts() == [50.0]


async def test_the_resync_of_a_key_does_not_delay_its_next_event() -> None:
    recorded = RecordedQueue()
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(5)
        queue.enqueue("a")
        await asyncio.sleep(6)

    assert recorded.starts() == [0.1, 5.1]


async def test_an_idle_queue_reports_nothing() -> None:
    recorded = RecordedQueue()
    async with running(recorded) as queue:
        assert (queue.depth(), queue.age()) == (0, 0.0)


async def test_a_thousand_keys_are_served_at_once_and_then_no_faster_than_the_resync_rate() -> None:
    recorded = RecordedQueue()
    async with running(recorded) as queue:
        for number in range(1000):
            queue.enqueue(str(number))
        await asyncio.sleep(1)
        assert len(recorded.reconciliations) == len({key for key, _, _ in recorded.reconciliations}) == 1000
        await asyncio.sleep(38)
        assert len(recorded.reconciliations) == 1000, "at 25 a second, a round takes 40 seconds"
        await asyncio.sleep(3)
        assert len(recorded.reconciliations) == 2000


async def test_a_cancelled_queue_stops_its_reconciliations() -> None:
    recorded = RecordedQueue(takes=100)
    async with running(recorded) as queue:
        queue.enqueue("a")
        await asyncio.sleep(1)

    assert (recorded.busy, recorded.reconciliations) == (1, [])


async def test_a_standby_reports_nothing_and_forgets_nothing() -> None:
    recorded = RecordedQueue()
    recorded.queue.enqueue("a")
    await asyncio.sleep(60)
    assert (recorded.queue.depth(), recorded.queue.age()) == (0, 0.0)

    async with running(recorded):
        await asyncio.sleep(0.1)
    assert [key for key, _, _ in recorded.reconciliations] == ["a"]
