"""The simulation's own arithmetic: the crowd, what is outcome, what the page tells."""

from collections.abc import Sequence
from contextlib import ExitStack
from random import Random

import pytest
from msgspec.structs import replace

from chatfleet_lab.scale.compressed import autoscaler
from chatfleet_lab.scale.crowd import Crowd, noisy
from chatfleet_lab.scale.endure import EnduranceResult
from chatfleet_lab.scale.evaluate import Outcome, Simulation, stayed, stepped, turned
from chatfleet_lab.scale.page import section
from chatfleet_lab.scale.series import Sample
from chatfleet_lab.scale.subject import Subject


def crowd(wanted: int) -> Crowd:
    return Crowd(lambda _: wanted, cap=10, stream_seconds=30, chance=Random(1))  # noqa: S311


def test_streams_stay_where_they_began_until_they_end() -> None:
    clients = crowd(10)
    clients.step(0, ["a"])
    clients.step(1, ["a", "b"])
    assert clients.on == {"a": 10}
    clients.step(46, ["a", "b"])
    assert clients.live == 10
    assert set(clients.on) == {"a", "b"}


def test_what_finds_no_room_is_refused_and_comes_back() -> None:
    clients = crowd(25)
    clients.step(0, ["a", "b"])
    assert (clients.live, clients.refused) == (20, 5)
    clients.step(1, ["a", "b", "c"])
    assert (clients.live, clients.refused) == (25, 0)


def test_streams_of_a_pod_that_leaves_go_on_to_their_end() -> None:
    clients = crowd(10)
    clients.step(0, ["a"])
    clients.step(1, ["b"])
    assert clients.live == 10
    assert clients.on == {"a": 10}


def test_noise_of_one_seed_is_the_same_and_of_two_is_not() -> None:
    one, again, other = (noisy(seed, seconds=1800) for seed in (7, 7, 8))
    times = range(0, 1800, 5)
    assert [one(at) for at in times] == [again(at) for at in times] != [other(at) for at in times]


def test_the_autoscaler_is_our_own_with_its_seconds_divided() -> None:
    spec = autoscaler("support", cap=100, autoscaling={"maxReplicas": 20}, factor=15)["spec"]
    assert spec["metrics"][0]["pods"]["target"]["averageValue"] == "70"
    down, up = spec["behavior"]["scaleDown"], spec["behavior"]["scaleUp"]
    assert (down["stabilizationWindowSeconds"], down["policies"][0]["periodSeconds"]) == (20, 4)
    assert {policy["periodSeconds"] for policy in up["policies"]} == {1}
    with pytest.raises(ValueError, match="cannot be divided"):
        autoscaler("support", cap=100, autoscaling={"maxReplicas": 20}, factor=7)


def test_a_pod_serves_only_after_its_start() -> None:
    with ExitStack() as alive:
        subject = Subject("support", lambda _: 10, 60, alive, {}, start_seconds=15)
        assert list(subject.step(0, ["a"], 1)) == []
        assert list(subject.step(14, ["a"], 1)) == []
        assert subject.samples[-1].refused == 10


def samples(*seen: tuple[float, int]) -> list[Sample]:
    """Return samples at which so many pods are wanted, and ready."""
    return [Sample(at, 600, 600, pods, pods, pods) for at, pods in seen]


SOON = ((0, 2), (30, 2), (60, 4), (140, 8), (240, 8))


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        pytest.param(SOON, True, id="in time"),
        pytest.param(((0, 2), (80, 4), (140, 8)), False, id="the first pod late"),
        pytest.param(((0, 2), (60, 4), (160, 8)), False, id="the right number late"),
        pytest.param(((0, 2), (60, 11), (140, 9)), False, id="two too many"),
        pytest.param(((0, 2), (60, 8), (140, 7)), False, id="not kept"),
    ],
)
def test_a_step_is_judged_by_its_first_pod_its_right_number_and_what_was_too_much(
    seen: Sequence[tuple[float, int]], *, kept: bool
) -> None:
    assert stepped(samples(*seen)).kept is kept


def test_noise_may_turn_twice_and_its_control_must_turn_more_often() -> None:
    calm, hasty = samples((0, 2), (1, 4), (2, 3)), samples((0, 2), (1, 4), (2, 3), (3, 4), (4, 3))
    assert turned(calm, control=False).kept
    assert not turned(calm, control=True).kept
    assert turned(hasty, control=True).kept
    assert not turned(hasty, control=False).kept


def test_silence_may_take_no_pod_and_the_pods_must_go_after_it() -> None:
    assert stayed(samples((0, 6), (10, 6), (20, 6), (30, 2)), (10, 25)).kept
    assert not stayed(samples((0, 6), (10, 6), (20, 5), (30, 2)), (10, 25)).kept
    assert not stayed(samples((0, 6), (10, 6), (20, 6), (30, 6)), (10, 25)).kept


def test_the_page_tells_what_endured_and_what_was_simulated() -> None:
    outcome = Outcome("step", "a step", {"pods too many": 1}, {"pods too many": "≤ 1"}, kept=True, course=[])
    endured = EnduranceResult(5, 60, 1200, 60, 1199, 1, 0, {"rollouts": 20}, {})
    shown = section([endured], Simulation("2026-01-02", 5, 7, 15, 30, [outcome]))
    assert "| drainSeconds 5 | 1,200 | 1,199 | 1 | 0 | 20 rollouts | 60 s |" in shown
    assert "| a step | pods too many | ≤ 1 | 1 |" in shown
    broken = Simulation("2026-01-02", 5, 7, 15, 30, [replace(outcome, kept=False)])
    assert "**broken**" in section([], broken)
    assert "| a step | pods too many | ≤ 1 | 1 |" in section([], None, outcome)
    assert section([], None) == ""
