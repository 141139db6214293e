"""The load generator's own arithmetic: profiles, changes of direction, the course that is drawn."""

from pathlib import Path

from chatfleet_lab.scale.__main__ import steps
from chatfleet_lab.scale.plot import plot
from chatfleet_lab.scale.series import Sample, directions
from chatfleet_lab.scale.view import course


def samples(*desired: int) -> list[Sample]:
    return [Sample(2.0 * number, 10, 10, pods, pods, pods) for number, pods in enumerate(desired)]


def test_a_profile_is_straight_between_its_points_and_stays_at_its_last() -> None:
    profile = steps([(0, 10), (10, 10), (20, 30)])

    assert [profile(at) for at in (0, 9.9, 10, 15, 20, 99)] == [10, 10, 10, 20, 30, 30]


def test_only_turns_count_as_changes_of_direction() -> None:
    assert directions(samples(2, 2, 4, 8, 8, 7, 6)) == 1
    assert directions(samples(2, 4, 3, 4)) == 2
    assert directions(samples(2, 2)) == 0


def test_the_course_shows_the_newest_at_the_right_and_the_highest_in_full() -> None:
    assert course([0, 1, 2, 7]) == "▁▂▃█"
    assert course([*range(100)]).endswith("█")
    assert course([]) == ""


def test_a_plot_of_the_same_samples_is_the_same_file(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        plot(samples(2, 4, 3), tmp_path / name, title="pods", target=35)

    assert (tmp_path / "one.svg").read_text() == (tmp_path / "two.svg").read_text()
    assert "<svg" in (tmp_path / "one.svg").read_text()
