"""The short form: every promise is kept under a little of everything, and broken without its protection."""

from pathlib import Path

import pytest

from chatfleet_lab.chaos.runner import run
from chatfleet_lab.chaos.scenario import Scenario
from chatfleet_lab.chaos.scenarios.all import SCENARIOS

SEED = 1
SECONDS = 300
"""Far more than any scenario needs, even on a busy machine; most take 10 s on an idle one."""


@pytest.mark.feature(54)
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
async def test_a_promise_is_kept_and_the_control_breaks_it(scenario: Scenario, tmp_path: Path) -> None:
    result = await run(scenario, "short", SEED, tmp_path)
    assert result.passed, result.verdict()
