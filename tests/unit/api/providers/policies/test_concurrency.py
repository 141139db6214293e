"""The limit of open requests at an upstream is kept, and a slot is free again whatever ends its request."""

import asyncio
from collections.abc import Sequence

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token
from chatfleet_api.providers.policies.concurrency import ConcurrencyLimited, Slots
from chatfleet_api.providers.provider import StreamItem
from harness.upstream.catalogue import ask
from harness.upstream.plays import ANSWER, DONE, Playing, overloaded

pytestmark = pytest.mark.looptime


def limited(inner: Playing, slots: int, patience: float = 10.0) -> ConcurrencyLimited:
    return ConcurrencyLimited(inner, Slots(slots), timeout_seconds=patience)


async def test_no_more_requests_are_open_than_there_are_slots() -> None:
    inner = Playing(ANSWER)
    provider = limited(inner, 3)
    outcomes = await asyncio.gather(*(ask(provider) for _ in range(10)))
    assert all(outcome.error is None for outcome in outcomes)
    assert (inner.most_open, len(inner.asked)) == (3, 10)


async def test_nobody_waits_for_a_slot_for_ever() -> None:
    provider = limited(Playing(((Token("a"),), 100.0, (DONE,))), 1, patience=5)
    holding = asyncio.ensure_future(ask(provider))
    await asyncio.sleep(0.1)
    begun = asyncio.get_running_loop().time()
    outcome = await ask(provider)
    assert asyncio.get_running_loop().time() - begun == pytest.approx(5)
    assert outcome.error is not None
    assert (outcome.code, outcome.error.retry_after) == (Code.AT_CAPACITY, 1.0)
    assert (await holding).error is None


@pytest.mark.parametrize(
    "play", [(overloaded(),), ((Token("a"),), overloaded()), ANSWER], ids=["at once", "late", "no"]
)
async def test_a_failure_gives_its_slot_back(play: Sequence[Sequence[StreamItem] | float | ChatError]) -> None:
    slots = Slots(1)
    await ask(ConcurrencyLimited(Playing(play), slots, timeout_seconds=1))
    assert not slots.locked()


async def test_slots_tell_who_has_one_and_who_waits() -> None:
    slots = Slots(1)
    provider = ConcurrencyLimited(Playing((1.0, (DONE,))), slots, timeout_seconds=10)
    asking = [asyncio.ensure_future(ask(provider)) for _ in range(3)]
    await asyncio.sleep(0.5)
    assert (slots.taken, slots.limit, slots.queued) == (1, 1, 2)
    await asyncio.gather(*asking)
    assert (slots.taken, slots.queued) == (0, 0)


async def test_leaving_at_any_moment_gives_the_slot_back() -> None:
    slots = Slots(1)
    provider = ConcurrencyLimited(Playing((1.0, (Token("a"),), 1.0, (DONE,))), slots, timeout_seconds=10)
    for moment in (0.0, 0.5, 1.0, 1.5, 2.0):
        asking = [asyncio.ensure_future(ask(provider)) for _ in range(3)]
        await asyncio.sleep(moment)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert not slots.locked()
