"""An answer that does not come is waited for so long and no longer."""

import asyncio

import pytest

from chatfleet_api.redis.lag_tolerant_timeout import lag_tolerant_timeout

pytestmark = pytest.mark.looptime


async def test_an_answer_that_does_not_come_is_waited_for_no_longer() -> None:
    with pytest.raises(TimeoutError):
        async with lag_tolerant_timeout(1.0):
            await asyncio.sleep(60)
    assert asyncio.get_running_loop().time() == pytest.approx(1.0)


async def test_patience_ends_with_its_block() -> None:
    async with lag_tolerant_timeout(1.0):
        pass
    await asyncio.sleep(2.0)
