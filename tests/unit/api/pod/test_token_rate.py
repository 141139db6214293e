"""How fast tokens flow, in virtual time."""

import asyncio

import pytest

from chatfleet_api.domain.events import Usage
from chatfleet_api.pod.health import Health
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.token_rate import keep_rate


class Served:
    digest = ""
    error: str | None = None


@pytest.mark.looptime
async def test_the_rate_is_that_of_the_last_quarter_minute() -> None:
    clock = asyncio.get_running_loop().time
    health = Health(pod="pod-0", version="1", served=Served(), clock=clock)
    meter = Meter("1")
    meter.used("a", "m", Usage(1000, 1000))  # before anybody looked
    rating = asyncio.ensure_future(keep_rate(health, meter.tokens, clock))
    rates = []
    for second in range(60):
        await asyncio.sleep(1)
        rates.append(round(health.tokens_per_second))
        if second < 30:
            meter.used("a", "m", Usage(20, 100))
    rating.cancel()

    assert set(rates[2:30]) <= set(range(55, 131))
    assert rates[29] == 120
    assert 0 < rates[37] < 120
    assert rates[-1] == 0
