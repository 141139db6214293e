"""Credentials are fetched before they expire, once for all who need them, and not in a storm when that fails."""

import asyncio
from collections.abc import Callable

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.vendors.bedrock.aws_credentials import (
    EARLY_SECONDS,
    PAUSE_SECONDS,
    UNUSABLE_SECONDS,
    CachedCredentials,
    Credentials,
)

HOUR = 3_600.0


class Source:
    """Gives credentials for an hour, each with a number, when it is let."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.fetched = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False

    async def fetch(self) -> Credentials:
        self.fetched += 1
        number = self.fetched
        await self.open.wait()
        if self.fails:
            raise ChatError(Code.UPSTREAM_AUTHENTICATION, detail="refused")
        return Credentials(f"key-{number}", "secret", "token", self.now + HOUR)


def cached(source: Source) -> CachedCredentials:
    now: Callable[[], float] = lambda: source.now  # noqa: E731  # one word
    return CachedCredentials(source.fetch, now)


async def test_all_requests_wait_for_one_fetch() -> None:
    source = Source()
    credentials = cached(source)
    found = await asyncio.gather(*(credentials.get() for _ in range(20)))
    assert {each.access_key for each in found} == {"key-1"}
    assert (await credentials.get()).access_key == "key-1"
    assert source.fetched == 1


async def test_a_request_that_is_cancelled_does_not_end_the_fetch_of_the_others() -> None:
    source = Source()
    source.open.clear()
    credentials = cached(source)
    first, second = (asyncio.ensure_future(credentials.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    source.open.set()
    assert (await second).access_key == "key-1"
    assert source.fetched == 1


async def test_they_are_fetched_again_before_they_expire_and_nobody_waits_for_it() -> None:
    source = Source()
    credentials = cached(source)
    await credentials.get()
    source.now += HOUR - EARLY_SECONDS + 1
    source.open.clear()
    assert (await credentials.get()).access_key == "key-1"
    await asyncio.sleep(0)
    assert source.fetched == 2
    source.open.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert (await credentials.get()).access_key == "key-2"


async def test_a_request_waits_rather_than_sign_with_what_expires_at_once() -> None:
    source = Source()
    credentials = cached(source)
    await credentials.get()
    source.now += HOUR - UNUSABLE_SECONDS + 1
    assert (await credentials.get()).access_key == "key-2"


async def test_a_fetch_that_fails_is_repeated_only_after_a_pause_and_valid_ones_are_used_meanwhile() -> None:
    source = Source()
    credentials = cached(source)
    await credentials.get()
    source.now += HOUR - EARLY_SECONDS + 1
    source.fails = True
    for _ in range(10):
        assert (await credentials.get()).access_key == "key-1"
        await asyncio.sleep(0)
    assert source.fetched == 2
    source.now += PAUSE_SECONDS
    await credentials.get()
    await asyncio.sleep(0)
    assert source.fetched == 3


async def test_without_valid_ones_the_reason_of_the_last_fetch_is_raised_until_the_pause_is_over() -> None:
    source = Source()
    source.fails = True
    credentials = cached(source)
    for _ in range(5):
        with pytest.raises(ChatError, match="refused"):
            await credentials.get()
    assert source.fetched == 1
    source.now += PAUSE_SECONDS
    source.fails = False
    assert (await credentials.get()).access_key == "key-2"


async def test_rejected_ones_are_fetched_again_but_not_for_each_request() -> None:
    source = Source()
    credentials = cached(source)
    await credentials.get()
    credentials.reject()
    assert (await credentials.get()).access_key == "key-1"
    assert source.fetched == 1
    source.now += PAUSE_SECONDS
    assert (await credentials.get()).access_key == "key-2"
    assert (await credentials.get()).access_key == "key-2"
