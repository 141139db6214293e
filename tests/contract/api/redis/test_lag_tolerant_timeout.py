"""An event loop that is late blames itself, not Redis."""

import asyncio
import time

import pytest
import uvloop

from chatfleet_api.redis.client import open_redis
from chatfleet_api.redis.connect import SOCKET_SECONDS
from chatfleet_api.redis.lag_tolerant_timeout import MAX_EXTRA_SECONDS, lag_tolerant_timeout


def test_an_answer_that_the_loop_read_late_is_an_answer(redis_url: str) -> None:
    async def play() -> None:
        async with open_redis(redis_url, "namespace", "deployment") as redis_client:
            await redis_client.call("PING")
            for turns in (0, 3):
                asking = asyncio.ensure_future(redis_client.call("PING"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                time.sleep(0.7 * SOCKET_SECONDS)  # noqa: ASYNC251  # this is what it is about
                await asking

    uvloop.run(play())


def test_time_in_which_the_loop_stood_still_before_the_deadline_is_not_counted() -> None:
    async def play() -> None:
        async with lag_tolerant_timeout(0.8):
            await asyncio.sleep(0.1)  # a timely turn before the lag
            time.sleep(0.5)  # noqa: ASYNC251  # this is what it is about
            await asyncio.sleep(0.4)  # on time at the deadline itself

    uvloop.run(play())


def test_a_loop_that_is_late_all_the_time_waits_for_no_more_than_so_long() -> None:
    async def play() -> None:
        async with lag_tolerant_timeout(0.1):
            while True:
                time.sleep(0.3)  # noqa: ASYNC251  # this is what it is about
                await asyncio.sleep(0)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        uvloop.run(play())
    assert time.monotonic() - began < 0.1 + MAX_EXTRA_SECONDS + 4 * 0.3
