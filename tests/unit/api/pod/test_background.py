"""Background tasks are restarted, and what fails again and again is logged once."""

import asyncio
import logging

import pytest

from chatfleet_api.pod.background import background

pytestmark = pytest.mark.looptime


async def test_a_task_that_fails_again_and_again_is_restarted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def failing() -> None:
        nonlocal runs
        runs += 1
        if runs == 10:
            await asyncio.sleep(100)
        raise ValueError("odd" if runs < 5 else "other")

    with caplog.at_level(logging.INFO):
        async with background(failing):
            await asyncio.sleep(140)
    assert runs > 20
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["odd", "other", "other"]
