"""An event loop that is late blames itself, not Redis."""

import asyncio
import time

import uvloop

from chatfleet_api.storage import SOCKET_SECONDS, open_storage


def test_an_answer_that_the_loop_read_late_is_an_answer(redis_url: str) -> None:
    async def play() -> None:
        async with open_storage(redis_url, "namespace", "deployment") as storage:
            await storage.ping()
            for turns in (0, 3):
                asking = asyncio.ensure_future(storage.ping())
                for _ in range(turns):
                    await asyncio.sleep(0)
                time.sleep(0.7 * SOCKET_SECONDS)  # noqa: ASYNC251  # this is what it is about
                await asking

    uvloop.run(play())
