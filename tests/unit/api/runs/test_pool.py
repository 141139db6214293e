"""The pool: admission before anything, one end for every producer, and a drain that cuts as little as it can."""

import asyncio
import logging

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Event, Failed, Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.pod.lifecycle import drain_runs
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.single_pod import SinglePodFleet
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run
from chatfleet_contract.spec import Streaming
from harness.pods.runs import TENANT, collect, make_pool, memory_log

END = Complete("stop", Usage())
pytestmark = pytest.mark.looptime


class Producer:
    """Ends well after some seconds, or as it is told."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __call__(self, run: Run) -> None:
        ending: Event = END
        try:
            async with run.stoppable():
                await asyncio.sleep(self.seconds)
        except ChatError as error:
            ending = Failed.of(error)
        run.publish((ending,))


def begin(pool: RunPool, seconds: float, run_id: str = "r") -> Run:
    with pool.admit() as start:
        return start(TENANT, run_id, Producer(seconds), Fence())


def refused(pool: RunPool) -> ChatError:
    with pytest.raises(ChatError) as caught, pool.admit():
        pytest.fail("admitted")
    return caught.value


async def test_a_pod_is_crowded_from_the_share_on_for_which_pods_are_added() -> None:
    pool = make_pool(memory_log(), capacity=10)
    near_capacity = []
    for number in range(7):
        begin(pool, 60, f"r{number}")
        near_capacity.append(pool.admission.near_capacity)
    assert near_capacity == [False] * 6 + [True]
    await drain_runs(pool, 0)


async def last_event(run: Run) -> Event:
    return (await collect(run.read()))[-1][1]


async def test_a_run_is_found_while_it_is_produced() -> None:
    pool = make_pool()
    run = begin(pool, 5)
    assert pool.find(TENANT, "r") is run
    assert pool.find("other", "r") is None
    assert await last_event(run) == END
    await asyncio.sleep(0)
    assert pool.find(TENANT, "r") is None


async def test_a_run_is_read_where_it_is_and_from_the_log_afterwards() -> None:
    pool = make_pool()
    begin(pool, 5)
    assert await collect(pool.read(TENANT, "r")) == [(1, END)]
    await asyncio.sleep(1)
    assert await collect(pool.read(TENANT, "r")) == [(1, END)]


async def test_a_full_pool_refuses_at_once_and_says_when_to_come_back() -> None:
    pool = make_pool(capacity=1)
    run = begin(pool, 5)
    error = refused(pool)
    assert (error.code, error.retry_after) == (Code.AT_CAPACITY, 1)
    await last_event(run)
    assert await last_event(begin(pool, 1, "next")) == END


async def test_a_slot_is_held_from_admission_on_and_given_back_without_a_run() -> None:
    pool = make_pool(capacity=1)
    with pool.admit():
        assert pool.admission.active == 1
        assert refused(pool).code is Code.AT_CAPACITY
    assert pool.admission.active == 0
    begin(pool, 1)


async def test_the_limits_may_change_while_the_pod_runs() -> None:
    current = Streaming(max_streams_per_pod=1)
    pool = RunPool(memory_log(), SinglePodFleet(), Live(lambda: current))
    begin(pool, 5)
    current = Streaming(max_streams_per_pod=2)
    begin(pool, 5, "second")
    assert pool.admission.active == 2


async def test_a_producer_that_crashes_ends_its_run_as_internal(caplog: pytest.LogCaptureFixture) -> None:
    async def crash(_: Run) -> None:
        await asyncio.sleep(1)
        raise ZeroDivisionError

    pool = make_pool()
    with pool.admit() as start:
        run = start(TENANT, "r", crash)
    ending = await last_event(run)
    assert isinstance(ending, Failed)
    assert ending.code is Code.INTERNAL
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "ZeroDivisionError" in caplog.text


async def test_a_producer_that_forgets_its_end_does_not_leave_readers_waiting() -> None:
    async def forget(_: Run) -> None:
        await asyncio.sleep(1)

    pool = make_pool()
    with pool.admit() as start:
        run = start(TENANT, "r", forget)
    ending = await last_event(run)
    assert isinstance(ending, Failed)
    assert ending.code is Code.INTERNAL


async def test_a_cancel_before_the_producer_ran_its_first_line_still_ends_the_run() -> None:
    pool = make_pool()
    run = begin(pool, 5)
    run.cancel()
    ending = await last_event(run)
    assert isinstance(ending, Failed)
    assert ending.code is Code.CANCELLED


async def test_a_drain_takes_nothing_new_and_lets_what_runs_finish() -> None:
    pool = make_pool()
    run = begin(pool, 50)
    drained = asyncio.create_task(drain_runs(pool, 60))
    await asyncio.sleep(1)
    error = refused(pool)
    assert (error.code, error.retry_after) == (Code.DRAINING, 1)
    assert await drained == 0
    assert await last_event(run) == END
    assert asyncio.get_running_loop().time() == 50


async def test_a_drain_interrupts_at_its_deadline_and_says_how_many() -> None:
    pool = make_pool()
    runs = [begin(pool, seconds, str(seconds)) for seconds in (10, 100, 200)]
    assert await drain_runs(pool, 60) == 2
    assert asyncio.get_running_loop().time() == 60
    endings = [await last_event(run) for run in runs]
    assert endings[0] == END
    assert [ending.code for ending in endings[1:] if isinstance(ending, Failed)] == [Code.INTERRUPTED] * 2


async def test_a_drain_ends_even_when_a_producer_does_not_listen() -> None:
    async def deaf(_: Run) -> None:
        await asyncio.sleep(1000)

    pool = make_pool()
    with pool.admit() as start:
        run = start(TENANT, "r", deaf)
    assert await drain_runs(pool, 60) == 1
    assert asyncio.get_running_loop().time() < 75
    ending = await last_event(run)
    assert isinstance(ending, Failed)
    assert ending.code is Code.INTERRUPTED


async def test_a_drain_of_an_idle_pod_returns_at_once() -> None:
    assert await drain_runs(make_pool(memory_log()), 600) == 0
    assert asyncio.get_running_loop().time() == 0
