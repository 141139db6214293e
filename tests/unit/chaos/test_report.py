"""When a scenario counts as passed, and what the page says of it."""

from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from chaos.measure import percentile
from chaos.report import page
from chaos.runner import Result, unhandled

CUT = ["One was cut."]
KEPT = Result("drain", "Nothing is cut.", "a kill", "short", 7, 1.5, {"streams": 1000}, [], {"cut": 3}, CUT)


def test_a_promise_counts_only_when_it_is_kept_and_its_control_breaks() -> None:
    assert KEPT.passed
    assert not replace(KEPT, failures=CUT).passed
    assert not replace(KEPT, control_failures=[]).passed


def test_a_verdict_says_what_broke_or_that_nothing_was_proven() -> None:
    assert KEPT.verdict() == "drain: kept."
    assert "Nothing is cut. Broken: One was cut." in replace(KEPT, failures=CUT).verdict()
    assert "proves nothing" in replace(KEPT, control_failures=[]).verdict()


def test_the_page_shows_every_figure_of_both_runs() -> None:
    text = page([KEPT], datetime(2026, 1, 2, tzinfo=UTC))
    assert "Last run: 2026-01-02, short form, seed 7." in text
    assert "| drain | kept | 1 | 1.5 |" in text
    assert "| streams | 1,000 |  |" in text
    assert "| cut |  | 3 |" in text


def test_the_page_tells_what_was_broken() -> None:
    text = page([replace(KEPT, failures=CUT)], datetime(2026, 1, 2, tzinfo=UTC))
    assert "| drain | **broken** |" in text
    assert "- One was cut." in text


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
