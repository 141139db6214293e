"""Who leads, on virtual time, with several candidates and one Lease."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import pytest

from chatfleet_operator.model.errors import Retry
from chatfleet_operator.process.leader import LEASE_DURATION_SECONDS, RENEW_DEADLINE_SECONDS, Lease, LeaseRecord

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


@dataclass
class Store:
    """One Lease, with the API server's promise: a write fails when the Lease has changed since it was read."""

    record: LeaseRecord | None = None
    version: int = 0
    fails: bool = False
    hangs: bool = False
    loses_answers: bool = False
    writes: int = 0

    async def read(self) -> LeaseRecord | None:
        await self._trouble()
        return self.record

    async def write(self, before: LeaseRecord | None, holder: str, seconds: int) -> LeaseRecord:
        await self._trouble()
        if before != self.record:
            raise Retry("the object has been modified")
        self.version += 1
        self.writes += 1
        self.record = LeaseRecord(holder, seconds, str(self.version))
        if self.loses_answers:
            raise Retry("connection reset")
        return self.record

    async def _trouble(self) -> None:
        if self.hangs:
            await asyncio.sleep(10_000)
        if self.fails:
            raise Retry("connection refused")


def now() -> float:
    return asyncio.get_running_loop().time()


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_the_first_candidate_leads_at_once() -> None:
    lease = Lease(Store(), "one")
    await lease.acquire()

    assert now() == 0
    assert lease.is_held()


async def test_nobody_leads_before_acquiring() -> None:
    assert not Lease(Store(), "one").is_held()


async def test_a_second_candidate_waits_as_long_as_the_first_renews() -> None:
    store = Store()
    one, two = Lease(store, "one"), Lease(store, "two")
    await one.acquire()
    holding, waiting = asyncio.create_task(one.hold()), asyncio.create_task(two.acquire())
    await asyncio.sleep(600)

    assert one.is_held()
    assert not waiting.done()
    assert not two.is_held()
    await stop(holding)
    await stop(waiting)


@pytest.mark.parametrize("late", [0.0, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("death", [100.01, 100.5, 101.2, 101.99])
async def test_a_dead_leader_is_replaced_within_fifteen_seconds(death: float, late: float) -> None:
    """Whatever the moment of its death, and however the looks of its successor fall."""
    store = Store()
    one, two = Lease(store, "one"), Lease(store, "two")
    await one.acquire()
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(late)
    waiting = asyncio.create_task(two.acquire())
    await asyncio.sleep(death - late)
    await stop(holding)
    died = now()
    await waiting

    assert LEASE_DURATION_SECONDS - 2 <= now() - died <= LEASE_DURATION_SECONDS + 1.01


async def test_a_leader_that_leaves_hands_over_within_a_second() -> None:
    store = Store()
    one, two = Lease(store, "one"), Lease(store, "two")
    await one.acquire()
    holding, waiting = asyncio.create_task(one.hold()), asyncio.create_task(two.acquire())
    await asyncio.sleep(101)
    await stop(holding)
    await one.release()
    left = now()
    assert not one.is_held()
    await waiting

    assert now() - left <= 1


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
async def test_a_leader_that_cannot_renew_gives_up_before_anybody_else_may_start(trouble: str) -> None:
    store = Store()
    lease = Lease(store, "one")
    await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    await asyncio.sleep(50.5)
    setattr(store, trouble, True)
    started = now()
    await holding

    assert not lease.is_held()
    assert now() - started <= RENEW_DEADLINE_SECONDS < LEASE_DURATION_SECONDS


async def test_a_short_trouble_costs_nothing() -> None:
    store = Store()
    lease = Lease(store, "one")
    await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    for _ in range(5):
        store.fails = True
        await asyncio.sleep(5)
        store.fails = False
        await asyncio.sleep(5)

    assert lease.is_held()
    assert not holding.done()
    await stop(holding)


async def test_a_renewal_that_arrived_without_its_answer_is_understood() -> None:
    store = Store()
    lease = Lease(store, "one")
    await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    store.loses_answers = True
    await asyncio.sleep(3)
    store.loses_answers = False
    await asyncio.sleep(100)

    assert lease.is_held()
    await stop(holding)


async def test_a_leader_that_slept_knows_that_it_may_not_write() -> None:
    """A stopped process takes no turn: it asks before each write, and its clock has gone on."""
    lease = Lease(Store(), "one")
    await lease.acquire()
    await asyncio.sleep(RENEW_DEADLINE_SECONDS)

    assert not lease.is_held()


async def test_a_leader_whose_lease_was_taken_stops() -> None:
    store = Store()
    lease = Lease(store, "one")
    await lease.acquire()
    store.record = LeaseRecord("two", 12, "77")
    holding = asyncio.create_task(lease.hold())
    await holding

    assert not lease.is_held()
    assert store.record.holder == "two"


async def test_two_candidates_at_the_same_moment_make_one_leader() -> None:
    store = Store(LeaseRecord("", 1, "1"))
    leases = [Lease(store, name) for name in ("one", "two", "three")]
    waiting = [asyncio.create_task(lease.acquire()) for lease in leases]
    await asyncio.sleep(1)

    assert [lease.is_held() for lease in leases].count(True) == 1
    for task in waiting:
        await stop(task)


async def test_a_lease_that_somebody_deletes_is_made_again() -> None:
    store = Store()
    lease = Lease(store, "one")
    await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    store.record = None
    await asyncio.sleep(10)

    assert lease.is_held()
    assert await store.read()
    await stop(holding)


async def test_waiting_writes_nothing() -> None:
    store = Store(LeaseRecord("somebody", 10_000, "1"))
    waiting = asyncio.create_task(Lease(store, "one").acquire())
    await asyncio.sleep(600)

    assert store.writes == 0
    await stop(waiting)


async def test_releasing_what_is_not_held_does_nothing() -> None:
    store = Store(LeaseRecord("somebody", 15, "1"))
    await Lease(store, "one").release()

    assert store.writes == 0


@pytest.mark.parametrize(
    ("holder", "waits"),
    [("operator-a_1", 0), ("operator-ab_1", LEASE_DURATION_SECONDS), ("b_1", LEASE_DURATION_SECONDS)],
)
async def test_a_pod_that_restarts_does_not_wait_for_the_lease_of_its_own_dead_process(holder: str, waits: int) -> None:
    store = Store(LeaseRecord(holder, LEASE_DURATION_SECONDS, "0"))
    started = now()
    await Lease(store, "operator-a_2", "operator-a_").acquire()
    assert now() - started == waits


async def test_without_the_name_of_a_pod_no_lease_is_its_own() -> None:
    store = Store(LeaseRecord("one", LEASE_DURATION_SECONDS, "0"))
    started = now()
    await Lease(store, "one_2").acquire()
    assert now() - started == LEASE_DURATION_SECONDS
