"""A deadline bites once, at its time, wherever it was moved."""

import asyncio

import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.http.deadline import Watchdog

pytestmark = pytest.mark.looptime
LATE, STALLED = Code.UPSTREAM_TIMEOUT, Code.UPSTREAM_STALLED


@pytest.mark.parametrize(
    ("moves", "at", "meaning"),
    [
        ([], 5.0, LATE),
        ([(1.0, 9.0, STALLED)], 9.0, STALLED),
        ([(1.0, 3.0, STALLED)], 3.0, STALLED),
        ([(1.0, 3.0, STALLED), (2.0, 8.0, LATE)], 8.0, LATE),
        ([(1.0, 9.0, STALLED), (2.0, 7.0, LATE)], 7.0, LATE),
    ],
    ids=["not moved", "later", "sooner", "sooner, then later", "later, then sooner"],
)
async def test_the_last_deadline_counts(moves: list[tuple[float, float, Code]], at: float, meaning: Code) -> None:
    time = asyncio.get_running_loop().time
    bites: list[float] = []
    watchdog = Watchdog(lambda: bites.append(time()), 5.0, LATE)
    for when, until, late in moves:
        await asyncio.sleep(when - time())
        watchdog.move(until, late)
    await asyncio.sleep(20)
    assert bites == pytest.approx([at])
    assert watchdog.expired is meaning


async def test_a_stopped_one_does_not_bite() -> None:
    bites: list[None] = []
    watchdog = Watchdog(lambda: bites.append(None), 5.0, LATE)
    watchdog.stop()
    await asyncio.sleep(20)
    assert (bites, watchdog.expired) == ([], None)
