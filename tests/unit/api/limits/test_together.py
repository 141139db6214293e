"""How the end of an answer is settled in Redis: it waits a little, and what it does not wait for is not lost."""

import asyncio
import time
from collections.abc import Sequence
from typing import cast

import pytest

from chatfleet_api.domain.quota import Demand, Held
from chatfleet_api.limits.meters import RedisMeters
from chatfleet_api.limits.together import SETTLE_SECONDS, Together

pytestmark = pytest.mark.looptime
HELD = Held("lease", (Demand("tenant:streams", "streams", 1, 0.0, 1),))


class SlowMeters:
    """Meters in a Redis that answers the first settlement after a minute, and any other at once."""

    def __init__(self) -> None:
        self.settled: list[tuple[str, str, Sequence[int]]] = []

    async def settle(self, tenant: str, held: Held, spent: Sequence[int]) -> None:
        self.settled.append((tenant, held.lease, spent))
        await asyncio.sleep(60 if len(self.settled) == 1 else 0)


@pytest.fixture
def meters() -> SlowMeters:
    return SlowMeters()


@pytest.fixture
def together(meters: SlowMeters) -> Together:
    found = Together(cast("RedisMeters", meters), clock=time.monotonic)
    found.adopt("acme", HELD)
    return found


async def test_the_end_of_an_answer_waits_no_longer_than_promised_and_is_settled_after_that(
    together: Together, meters: SlowMeters
) -> None:
    began = asyncio.get_running_loop().time()
    await together.settle("acme", HELD, (1,))
    assert asyncio.get_running_loop().time() - began == pytest.approx(SETTLE_SECONDS)
    unsettled = [together.unsettled]
    await together.aclose()
    assert [*unsettled, together.unsettled] == [True, False]
    assert meters.settled == [("acme", "lease", (1,))] * 2


async def test_an_answer_whose_task_is_cancelled_is_settled_all_the_same(
    together: Together, meters: SlowMeters
) -> None:
    task = asyncio.ensure_future(together.settle("acme", HELD, (1,)))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await together.aclose()
    assert not together.unsettled
    assert len(meters.settled) == 2


async def test_it_is_settled_once(together: Together, meters: SlowMeters) -> None:
    meters.settled.append(("other", "lease", (1,)))
    for _ in range(2):
        await together.settle("acme", HELD, (1,))
        together.settle_later("acme", HELD, (1,))
    assert len(meters.settled) == 2
    assert not together.unsettled
