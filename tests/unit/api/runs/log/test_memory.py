"""The log in memory forgets a run when its time is over, and not before."""

import asyncio

import pytest

from chatfleet_api.domain.events import Complete, Usage
from chatfleet_api.runs.tail import Batch
from harness.pods.runs import TENANT, memory_log, numbered

END = Batch(2, (Complete("stop", Usage()),))
pytestmark = pytest.mark.looptime


async def test_a_run_is_kept_for_its_time_after_the_end_however_long_it_took() -> None:
    log = memory_log(ttl_seconds=60)
    log.append(TENANT, "r", numbered(1, 1))
    await asyncio.sleep(600)
    assert await log.state(TENANT, "r") == "open"
    log.append(TENANT, "r", END)
    await asyncio.sleep(59)
    assert await log.state(TENANT, "r") == "ended"
    await asyncio.sleep(1)
    assert await log.state(TENANT, "r") == "unknown"


async def test_a_run_that_goes_on_is_not_forgotten_with_those_that_ended() -> None:
    log = memory_log(ttl_seconds=60)
    log.append(TENANT, "long", numbered(1, 1))
    log.append(TENANT, "short", numbered(1, 1))
    log.append(TENANT, "short", END)
    await asyncio.sleep(100)
    log.append(TENANT, "long", END)
    assert await log.state(TENANT, "short") == "unknown"
    assert await log.state(TENANT, "long") == "ended"
