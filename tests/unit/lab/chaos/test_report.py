"""When a scenario counts as passed, and what the page says of it."""

from pathlib import Path

from msgspec.structs import replace

from chatfleet_lab.chaos.measure import percentile
from chatfleet_lab.chaos.report import Report, page
from chatfleet_lab.chaos.runner import Result, unhandled

CUT = ["One was cut."]
KEPT = Result(
    name="drain",
    promise="Nothing is cut.",
    control="a kill",
    size="short",
    seed=7,
    seconds=1.5,
    figures={"streams": 1000},
    failures=[],
    control_figures={"cut": 3},
    control_failures=CUT,
    hurt=("streams",),
    targets={"lost": "0"},
    aim="10,000 streams",
)


def text(*results: Result) -> str:
    """Return the page of some results."""
    return page(Report("2026-01-02", "short", 7, "2 cores", [*results]))


def test_a_promise_counts_only_when_it_is_kept_and_its_control_breaks() -> None:
    assert KEPT.passed
    assert not replace(KEPT, failures=CUT).passed
    assert not replace(KEPT, control_failures=[]).passed


def test_a_verdict_says_what_broke_or_that_nothing_was_proven() -> None:
    assert KEPT.verdict() == "drain: kept."
    assert "Nothing is cut. Broken: One was cut." in replace(KEPT, failures=CUT).verdict()
    assert "proves nothing. Its figures: {'cut': 3}." in replace(KEPT, control_failures=[]).verdict()


def test_the_page_tells_what_was_hurt_and_shows_every_figure_beside_its_aim() -> None:
    shown = text(KEPT)
    assert "Last run: 2026-01-02, short form, seed 7, on 2 cores." in shown
    assert "| [drain](#drain) | 1,000 streams | kept | 1 |" in shown
    assert "| streams |  | 1,000 |  |" in shown
    assert "| lost | 0 | 0 |  |" in shown
    assert "| cut |  |  | 3 |" in shown
    assert "10,000 streams" in shown
    assert "A violation in the control run: One was cut." in shown


def test_the_page_tells_what_was_broken() -> None:
    shown = text(replace(KEPT, failures=CUT))
    assert "| **broken** |" in shown
    assert "- **Broken:** One was cut." in shown


def test_a_scenario_that_is_played_again_replaces_what_it_showed_before() -> None:
    stop, again = replace(KEPT, name="stop"), replace(KEPT, seconds=2.0)
    report = Report("2026-01-02", "short", 7, "2 cores", [KEPT]).having(stop, ("stop", "drain"))
    assert report.having(again, ("stop", "drain")).results == [stop, again]


def test_errors_that_a_pod_did_not_expect_are_found_in_its_log(tmp_path: Path) -> None:
    trace = '{"exception": "Traceback (most recent call last):\\n …"}'
    (tmp_path / "pod-1.log").write_text('{"message": "fine"}\n' + trace + "\n")
    (tmp_path / "upstream.log").write_text(trace)
    assert unhandled(tmp_path) == [trace]


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([5], 0.99) == 5
    assert percentile([], 0.5) == 0


def test_what_was_played_on_a_node_stands_beside_what_was_played_with_processes_and_after_it() -> None:
    on_node = replace(KEPT, on="node", figures={"streams": 5})
    report = Report("2026-01-02", "short", 7, "2 cores", [replace(KEPT, on="node")])
    report = report.having(on_node, ["resume", "drain"]).having(replace(KEPT, name="resume"), ["resume", "drain"])
    report = report.having(KEPT, ["resume", "drain"])
    shown = page(report)
    assert [(result.name, result.on) for result in report.results] == [
        ("resume", "processes"),
        ("drain", "processes"),
        ("drain", "node"),
    ]
    assert report.results[-1] == on_node
    assert "| [drain, on a node](#drain-on-a-node) | 5 streams |" in shown
    assert "## Drain, on a node" in shown
