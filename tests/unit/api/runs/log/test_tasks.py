"""Background tasks, on virtual time."""

import asyncio
from contextlib import suppress

import pytest

from chatfleet_api.runs.log.tasks import AGAIN_SECONDS, cancel

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def test_a_task_that_has_lost_its_cancellation_is_cancelled_again() -> None:
    async def deaf_once() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1000)
        await asyncio.sleep(1000)

    task = asyncio.ensure_future(deaf_once())
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await cancel(task)

    assert task.cancelled()
    assert asyncio.get_running_loop().time() - began == pytest.approx(AGAIN_SECONDS)


async def test_the_end_of_a_task_is_waited_for_and_its_error_is_raised() -> None:
    async def slow_end() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(AGAIN_SECONDS / 2)

    async def broken() -> None:
        raise ValueError("broken")

    task = asyncio.ensure_future(slow_end())
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await cancel(task)
    assert asyncio.get_running_loop().time() - began == pytest.approx(AGAIN_SECONDS / 2)
    ended = asyncio.ensure_future(broken())
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="broken"):
        await cancel(ended)
