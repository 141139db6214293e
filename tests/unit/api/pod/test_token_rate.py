"""How fast tokens flow, in virtual time."""

import asyncio

import pytest

from chatfleet_api.domain.events import Usage
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.token_rate import TokenRate


@pytest.mark.looptime
async def test_the_rate_is_that_of_the_last_quarter_minute() -> None:
    clock = asyncio.get_running_loop().time
    meter = Meter("1")
    meter.used("a", "m", Usage(1000, 1000))  # before anybody looked
    rate = TokenRate(meter.tokens, clock=clock)
    rating = asyncio.ensure_future(rate.run())
    rates = []
    for second in range(60):
        await asyncio.sleep(1)
        rates.append(round(rate.per_second))
        if second < 30:
            meter.used("a", "m", Usage(20, 100))
    rating.cancel()

    assert set(rates[2:30]) <= set(range(55, 131))
    assert rates[29] == 120
    assert 0 < rates[37] < 120
    assert rates[-1] == 0
