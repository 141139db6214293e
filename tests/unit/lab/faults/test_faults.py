"""The fault matrix as a table: its rows, and the page that its measurements become."""

from collections import Counter
from pathlib import Path

from chatfleet_contract.reasons import REASONS
from chatfleet_contract.status import Reason
from chatfleet_lab.faults.driver import Measured
from chatfleet_lab.faults.fault import Drift, Fault
from chatfleet_lab.faults.page import Measurement, read, section, write
from chatfleet_lab.faults.rows.all import ROWS

MEASUREMENTS = Path(__file__).parents[4] / "docs" / "measurements"
FEWEST = 60


def test_there_are_enough_rows_each_with_a_name_and_words_of_its_own() -> None:
    assert len(ROWS) >= FEWEST
    assert not [name for name, count in Counter(row.name for row in ROWS).items() if count > 1]
    assert not [row.name for row in ROWS if isinstance(row, Fault) and not all(row.words)]


def test_each_condition_has_the_reason_that_a_row_expects() -> None:
    assert not [row.name for row in ROWS if isinstance(row, Fault) and row.reason not in REASONS[row.condition]]


NO_FAULT = {
    *(Reason.SERVING, Reason.SUSPENDED, Reason.SCALED_TO_ZERO, Reason.ASLEEP, Reason.ACTIVATING, Reason.UPDATING),
    *(Reason.ROLLING_OUT, Reason.COMPLETE, Reason.VALID, Reason.AVAILABLE, Reason.NO_POD_REPORT, Reason.SCALING),
    *(Reason.DISABLED, Reason.AUTOSCALER_PENDING, Reason.CLUSTER_IP, Reason.NODE_PORT, Reason.LOAD_BALANCER_READY),
    *(Reason.CREDENTIALS, Reason.NO_CALLERS, Reason.ANONYMOUS, Reason.TEST_ROUTES),
}
SUMMARIES = {Reason.NO_READY_PODS, Reason.BLOCKED}
"""The message repeats that of the condition which names the fault."""
ELSEWHERE = {
    Reason.LOAD_BALANCER_PENDING: "tests/cluster/operator/test_operator.py",
    Reason.LOAD_BALANCER_FAILED: "tests/cluster/operator/test_operator.py",
    Reason.VOLUME_DIFFERS: "tests/cluster/operator/test_operator.py",
    Reason.SECRET_NOT_ALLOWED: "tests/cluster/operator/test_restrictions.py",
    Reason.FIELD_NOT_ALLOWED: "tests/cluster/operator/test_restrictions.py",
    Reason.KNOWLEDGE_UNAVAILABLE: "tests/unit/operator/status/test_knowledge.py",
    Reason.PRICE_UNKNOWN: "tests/unit/operator/status/test_prices.py",
    Reason.WEBHOOK_UNAVAILABLE: "tests/unit/operator/status/test_webhooks.py",
    Reason.INVALID_ANNOTATION: "tests/harness/kube/wrong_specs.yaml",
    Reason.NOT_ENFORCED: "of an older image: tests/unit/operator/status/conditions/test_access_restricted.py",
    Reason.DEADLINE_EXCEEDED: "after ten minutes: tests/unit/operator/status",
}
"""Reasons whose test is not a row."""


def test_each_reason_that_names_a_fault_has_a_row() -> None:
    rows = {row.reason for row in ROWS if isinstance(row, Fault)}
    assert {*Reason} - rows == NO_FAULT | SUMMARIES | ELSEWHERE.keys()


def test_the_published_rows_are_those_of_the_table() -> None:
    """A row whose words or reason have changed is measured anew."""
    rows = {row.name: row for row in ROWS}
    for measured in (row for measurement in read(MEASUREMENTS) for row in measurement.rows):
        row = rows[measured.name]
        reported = ("", "", ()) if isinstance(row, Drift) else (row.condition.value, row.reason.value, row.words)
        assert (measured.condition, measured.reason, measured.words) == reported


def test_the_page_has_what_was_measured() -> None:
    text = section(read(MEASUREMENTS))

    assert text in (MEASUREMENTS / "reliability.md").read_text()
    assert text.count("\n| ") - text.count("\n| Fault |") == sum(len(each.rows) for each in read(MEASUREMENTS))


def row(reported: float | None, healed: float | None, name: str = ROWS[0].name) -> Measured:
    fault = next(each for each in ROWS if each.name == name)
    assert isinstance(fault, Fault)
    return Measured(name, "API server", fault.condition.value, fault.reason.value, fault.words, "", reported, healed)


def test_what_took_too_long_or_never_came_is_bold(tmp_path: Path) -> None:
    rows = [row(10.0, 10.1), row(None, None, ROWS[1].name)]
    write(tmp_path, Measurement("API server", "2026-01-02", "2 cores", 6, rows))
    text = section(read(tmp_path))

    assert "1 of 2 faults were reported within 10 s, and 0 of 2 rows healed within 10 s." in text
    assert "| 10 | **10.1** | API server |" in text
    assert "| **not at all** | **not at all** | API server |" in text


def test_a_measurement_takes_the_place_of_an_older_one_of_the_same_place(tmp_path: Path) -> None:
    for when in ("2026-01-02", "2026-01-03"):
        write(tmp_path, Measurement("API server", when, "2 cores", 6, [row(1.0, 2.0)]))
    write(tmp_path, Measurement("node", "2026-01-01", "2 cores", 6, []))

    assert [(each.place, each.when) for each in read(tmp_path)] == [
        ("API server", "2026-01-03"),
        ("node", "2026-01-01"),
    ]
