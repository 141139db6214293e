"""The real autoscaler follows a step, and does not swing with noise; a short form of `make simulate-scale`."""

import pytest

from chatfleet_lab.scale.evaluate import RIGHT, Outcome
from chatfleet_lab.scale.simulate import Wishes, simulated

FACTOR = 15
STREAMS_LAST = 240
"""Simulated: in compressed time the autoscaler's figures are 15 s old and more, half as old as a usual stream gets."""
SECONDS = 260
"""Simulated: less than the quiet time before pods go, so that our defaults must not turn at all."""

pytestmark = pytest.mark.timeout(180)


def waves(now: float) -> int:
    """Rise and fall again each 80 seconds, by more than the autoscaler's tolerance."""
    return 480 if now % 80 < 40 else 200


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Play the step, the waves, and the waves without the quiet time, side by side."""
    lengths = {"step_seconds": SECONDS, "step_stream_seconds": STREAMS_LAST, "noise_seconds": SECONDS}
    wishes = Wishes(FACTOR, waves, dead=None, **lengths)
    return {outcome.name: outcome for outcome in simulated(wishes)}


def test_a_step_gets_the_right_number_of_pods_and_none_too_many(outcomes: dict[str, Outcome]) -> None:
    figures = outcomes["step"].figures  # times are outcome at length: here a busy machine counts fifteen times
    assert figures["pods at the end"] in RIGHT
    assert figures["pods too many"] <= 1


def test_waves_turn_the_number_of_pods_only_without_the_quiet_time(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["noise"].figures["changes of direction"] == 0
    assert outcomes["hasty"].figures["changes of direction"] > 2
