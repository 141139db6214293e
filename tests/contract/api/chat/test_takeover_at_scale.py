"""A pod dies with hundreds of runs: each is taken over once and in time, and none is left for ever."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from time import monotonic

import pytest
from uuid_utils import uuid7

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Complete, Event, Failed, Token
from chatfleet_api.providers.provider import StreamItem
from chatfleet_contract import metrics
from chatfleet_contract.spec.provider_types import Continuation
from harness.pods.fleet_pod import FleetPod, open_pod
from harness.pods.runs import CALLER, STOP, TENANT, FakeProvider, collect, text
from harness.polling import eventually_async

pytestmark = pytest.mark.timed

RUNS = 400
RUN_TAKEOVER_DURATION_SECONDS = 3.0
AT_ONCE = 20
QUICK: list[list[StreamItem]] = [text("rest"), [STOP]]


class Fleet:
    """Pods of one fleet, and the runs that were begun on the first."""

    def __init__(self, stack: AsyncExitStack, url: str) -> None:
        self._stack = stack
        self._url = url
        self._name = str(uuid7())
        self.runs: list[str] = []

    async def pod(self, script: FakeProvider, *, capacity: int, continuation: Continuation = "none") -> FleetPod:
        return await open_pod(self._stack, self._url, script, continuation, fleet=self._name, capacity=capacity)

    async def begin(self, pod: FleetPod, count: int) -> None:
        """Begin so many runs, in a conversation each; return when all are in the log."""
        for _ in range(0, count, AT_ONCE):
            self.runs += await asyncio.gather(*(self._ask(pod) for _ in range(min(AT_ONCE, count))))
        await asyncio.gather(*(pod.chat.log.flush(TENANT, run) for run in self.runs))

    async def _ask(self, pod: FleetPod) -> str:
        conversation = (await pod.chat.conversations.create(CALLER)).id
        return (await pod.chat.conversations.send(CALLER, conversation, NewMessage("hi"))).id

    async def endings(self, pod: FleetPod) -> list[Event]:
        """Return the last events of all runs, which must have been told without a gap."""
        async with asyncio.timeout(20):
            told = await asyncio.gather(*(collect(pod.chat.pool.read(TENANT, run)) for run in self.runs))
        assert all([seq for seq, _ in events] == list(range(1, len(events) + 1)) for events in told)
        return [events[-1][1] for events in told]


@pytest.fixture
async def fleet(redis_url: str) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(stack, redis_url)


async def visible(pod: FleetPod, run: str) -> None:
    """Return when something of the answer is in the log, and visible."""
    async with aclosing(pod.chat.pool.read(TENANT, run)) as batches:
        async for batch in batches:
            if isinstance(batch.events[-1], Token):
                return


def counted(pod: FleetPod, outcome: str) -> int:
    line = f'{metrics.RUN_TAKEOVERS_TOTAL}{{outcome="{outcome}"}} '
    return sum(int(float(row.removeprefix(line))) for row in exposed(pod) if row.startswith(line))


def exposed(pod: FleetPod) -> list[str]:
    return pod.meter.exposition().decode().splitlines()


def slowest(pod: FleetPod) -> float:
    """Return the bucket in which the longest orphanage of this pod's takeovers lies."""
    rows = [
        row.partition('le="')[2].partition('"} ')
        for row in exposed(pod)
        if f"{metrics.RUN_TAKEOVER_DURATION_SECONDS}_b" in row
    ]
    most = max(float(count) for _, _, count in rows)
    return next(float(bucket) for bucket, _, count in rows if float(count) == most)


async def test_hundreds_of_runs_of_a_dead_pod_are_taken_over_once_each_and_in_time(fleet: Fleet) -> None:
    successors = [FakeProvider(*QUICK), FakeProvider(*QUICK)]
    first = await fleet.pod(FakeProvider(600), capacity=RUNS)
    others = [await fleet.pod(script, capacity=RUNS) for script in successors]
    await fleet.begin(first, RUNS)
    first.redis.whole, cut = False, monotonic()
    endings = await fleet.endings(others[0])
    took = monotonic() - cut
    assert Counter(type(ending) for ending in endings) == {Complete: RUNS}
    assert [len(script.asked) for script in successors] == [
        others[0].chat.pool.taken_over,
        others[1].chat.pool.taken_over,
    ]
    assert sum(counted(pod, "regenerated") for pod in others) == RUNS
    assert min(len(script.asked) for script in successors) > RUNS / 5
    assert took < RUN_TAKEOVER_DURATION_SECONDS + 1, took  # to the end of the last answer
    assert max(map(slowest, others)) <= RUN_TAKEOVER_DURATION_SECONDS + 1  # all pods and readers share this one process


async def test_full_pods_end_what_they_have_no_room_for_and_leave_nothing(fleet: Fleet) -> None:
    successor = FakeProvider(600)
    first = await fleet.pod(FakeProvider(text("one "), 600), capacity=RUNS, continuation="prefill")
    second = await fleet.pod(successor, capacity=10, continuation="prefill")
    await fleet.begin(first, RUNS)
    await asyncio.gather(*(visible(first, run) for run in fleet.runs))
    first.redis.whole = False
    runs, fleet.runs = fleet.runs, []
    await eventually_async(
        lambda: counted(second, "interrupted") >= RUNS - 10 and second.chat.pool.admission.active <= 10, every=0.05
    )
    assert (counted(second, "continued"), len(successor.asked), second.chat.pool.admission.active) == (10, 10, 10)
    fleet.runs = [run for run in runs if second.chat.pool.find(TENANT, run) is None]
    endings = await fleet.endings(second)
    assert len(endings) == RUNS - 10
    for ending in endings:
        assert isinstance(ending, Failed)
        assert (ending.code, ending.partial_saved) == (Code.INTERRUPTED, True)


async def test_who_has_room_takes_what_full_pods_leave(fleet: Fleet) -> None:
    first = await fleet.pod(FakeProvider(600), capacity=100)
    full, free = [await fleet.pod(FakeProvider(*QUICK), capacity=capacity) for capacity in (0, 100)]
    await fleet.begin(first, 100)
    first.redis.whole = False
    assert Counter(type(ending) for ending in await fleet.endings(full)) == {Complete: 100}
    assert (full.chat.pool.taken_over, free.chat.pool.taken_over) == (0, 100)


async def test_a_pod_that_ends_takes_nothing_over(fleet: Fleet) -> None:
    first = await fleet.pod(FakeProvider(600), capacity=10)
    ending, free = [await fleet.pod(FakeProvider(*QUICK), capacity=10) for _ in range(2)]
    await fleet.begin(first, 10)
    ending.chat.pool.admission.draining = True
    first.redis.whole = False
    assert Counter(type(event) for event in await fleet.endings(free)) == {Complete: 10}
    assert (ending.chat.pool.taken_over, free.chat.pool.taken_over) == (0, 10)
