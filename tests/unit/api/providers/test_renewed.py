"""Credentials are fetched before they expire, once for all who need them, and not in a storm when that fails."""

import asyncio
from typing import NamedTuple

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.renewed import (
    EARLY_SECONDS,
    JITTER,
    LONGEST_PAUSE_SECONDS,
    PAUSE_SECONDS,
    UNUSABLE_SECONDS,
    Margins,
    Renewed,
)

HOUR = 3_600.0


class Ticket(NamedTuple):
    """Credentials with a number."""

    key: str
    expires: float

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the key."""
        return (self.key,)


class Source:
    """Gives credentials, each with a number, when it is let."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.random = 0.0
        self.lifetime = HOUR
        self.fetched = 0
        self.running = 0
        self.most = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False

    async def fetch(self) -> Ticket:
        self.fetched += 1
        self.running += 1
        self.most = max(self.most, self.running)
        number = self.fetched
        await self.open.wait()
        self.running -= 1
        if self.fails:
            raise ChatError(Code.UPSTREAM_AUTHENTICATION, detail=f"refused {number}")
        return Ticket(f"key-{number}", self.now + self.lifetime)


def renewed(source: Source) -> Renewed[Ticket]:
    return Renewed(source.fetch, lambda: source.now, lambda: source.random, name="No ticket")


async def settled() -> None:
    """Let a fetch that runs beside the requests end."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_all_requests_wait_for_one_fetch() -> None:
    source = Source()
    credentials = renewed(source)
    found = await asyncio.gather(*(credentials.get() for _ in range(20)))
    assert {each.key for each in found} == {"key-1"}
    assert (await credentials.get()).key == "key-1"
    assert source.fetched == 1


async def test_a_request_that_is_cancelled_does_not_end_the_fetch_of_the_others() -> None:
    source = Source()
    source.open.clear()
    credentials = renewed(source)
    first, second = (asyncio.ensure_future(credentials.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    source.open.set()
    assert (await second).key == "key-1"
    assert source.fetched == 1


async def test_they_are_fetched_again_before_they_expire_and_no_request_waits_for_it() -> None:
    source = Source()
    credentials = renewed(source)
    await credentials.get()
    source.now += HOUR - EARLY_SECONDS + 1
    source.open.clear()
    assert (await credentials.get()).key == "key-1"
    await asyncio.sleep(0)
    assert source.fetched == 2
    source.open.set()
    await settled()
    assert (await credentials.get()).key == "key-2"


@pytest.mark.parametrize(("lifetime", "early", "unusable"), [(3600, 600, 30), (600, 200, 30), (60, 20, 6)])
def test_those_with_a_short_life_are_fetched_again_when_two_thirds_of_it_have_passed(
    lifetime: float, early: float, unusable: float
) -> None:
    assert Margins.of(lifetime, 0, 0) == (lifetime - early, lifetime - unusable)


def test_pods_fetch_at_different_times_and_never_later_than_without_jitter() -> None:
    due = [Margins.of(HOUR, 0, jitter / 10).renewed for jitter in range(11)]
    assert len(set(due)) == 11
    assert (min(due), max(due)) == (HOUR - EARLY_SECONDS * (1 + JITTER), HOUR - EARLY_SECONDS)


async def test_the_jitter_is_that_of_each_fetch() -> None:
    source = Source()
    source.random = 1.0
    credentials = renewed(source)
    await credentials.get()
    source.now += HOUR - EARLY_SECONDS * (1 + JITTER) + 1
    await credentials.get()
    await settled()
    assert source.fetched == 2


async def test_what_does_not_expire_is_fetched_once() -> None:
    source = Source()
    source.lifetime = float("inf")
    credentials = renewed(source)
    for _ in range(3):
        assert (await credentials.get()).key == "key-1"
        source.now += 1_000 * HOUR


async def test_a_request_waits_rather_than_use_what_expires_at_once() -> None:
    source = Source()
    credentials = renewed(source)
    await credentials.get()
    source.now += HOUR - UNUSABLE_SECONDS + 1
    assert (await credentials.get()).key == "key-2"


async def test_there_is_one_fetch_at_a_time_also_without_anything_valid_within_the_pause() -> None:
    source = Source()
    source.lifetime = 1.0
    credentials = renewed(source)
    await credentials.get()
    source.now += 1.0
    found = await asyncio.gather(*(credentials.get() for _ in range(20)))
    assert {each.key for each in found} == {"key-2"}
    assert source.most == 1


async def test_a_fetch_that_fails_is_repeated_only_after_a_pause_and_valid_ones_are_used_meanwhile() -> None:
    source = Source()
    credentials = renewed(source)
    await credentials.get()
    source.now += HOUR - EARLY_SECONDS + 1
    source.fails = True
    for _ in range(10):
        assert (await credentials.get()).key == "key-1"
        await settled()
    assert (source.fetched, credentials.failure) == (2, "refused 2")
    source.now += PAUSE_SECONDS
    source.fails = False
    await credentials.get()
    await settled()
    assert (source.fetched, credentials.failure) == (3, None)


async def test_the_old_ones_serve_until_their_end_while_every_fetch_fails() -> None:
    source = Source()
    credentials = renewed(source)
    ends = (await credentials.get()).expires
    source.fails = True
    while source.now < ends - UNUSABLE_SECONDS:
        assert (await credentials.get()).key == "key-1"
        await settled()
        source.now += 5
    with pytest.raises(ChatError, match="refused"):
        await credentials.get()


async def test_the_pause_grows_with_each_failure_to_a_limit() -> None:
    source = Source()
    source.fails = True
    credentials = renewed(source)
    pauses = []
    for _ in range(6):
        with pytest.raises(ChatError):
            await credentials.get()
        begun, fetched = source.now, source.fetched
        while source.fetched == fetched:
            source.now += 1
            with pytest.raises(ChatError):
                await credentials.get()
        pauses.append(source.now - begun)
    assert pauses == [PAUSE_SECONDS, 4, 8, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


async def test_without_valid_ones_the_reason_of_the_last_fetch_is_raised_until_the_pause_is_over() -> None:
    source = Source()
    source.fails = True
    credentials = renewed(source)
    for _ in range(5):
        with pytest.raises(ChatError, match="refused"):
            await credentials.get()
    assert source.fetched == 1
    source.now += PAUSE_SECONDS
    source.fails = False
    assert (await credentials.get()).key == "key-2"


async def test_rejected_ones_are_fetched_again_but_not_for_each_request() -> None:
    source = Source()
    credentials = renewed(source)
    await credentials.get()
    credentials.reject()
    assert (await credentials.get()).key == "key-1"
    assert source.fetched == 1
    source.now += PAUSE_SECONDS
    assert (await credentials.get()).key == "key-2"
    assert (await credentials.get()).key == "key-2"
