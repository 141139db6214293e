"""A scenario's file has the scenario's name."""

import pytest

from chatfleet_lab.chaos.scenario import Scenario
from chatfleet_lab.chaos.scenarios.all import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def test_a_scenario_stands_in_the_file_of_its_name(scenario: Scenario) -> None:
    assert scenario.play.__module__.rpartition(".")[2] == scenario.name.lower().replace(" ", "_")
