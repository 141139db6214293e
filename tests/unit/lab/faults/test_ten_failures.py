"""The page of failures to stage names what exists: faults that are staged and measured, reasons, codes, metrics."""

import re
from pathlib import Path
from typing import Final

import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_contract.metrics import METRICS
from chatfleet_lab.faults.fault import Fault
from chatfleet_lab.faults.rows.all import ROWS

ROOT: Final = Path(__file__).parents[4]
PAGE: Final = (ROOT / "docs/operations/ten-failures.md").read_text()
PARAGRAPHS: Final = (ROOT / "docs/operations/troubleshooting.md").read_text()
SECTIONS: Final = dict(re.findall(r"^## \d+\. (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
FAULTS: Final = {row.name: row for row in ROWS if isinstance(row, Fault)}
each_failure = pytest.mark.parametrize("name", SECTIONS)


def test_there_are_ten() -> None:
    assert len(SECTIONS) == len(re.findall(r"^## ", PAGE, re.MULTILINE)) == 10


@each_failure
def test_it_is_staged_by_what_to_type_and_leads_from_a_symptom_to_a_remedy(name: str) -> None:
    assert re.fullmatch(
        r"\n```sh\n\S.*?\n```\n\n- \*\*Symptom\.\*\* .+\n- \*\*Find\.\*\* .+\n- \*\*Remedy\.\*\* .+",
        SECTIONS[name],
        re.DOTALL,
    )


@each_failure
def test_it_is_a_row_of_the_fault_matrix_with_its_reason_and_words(name: str) -> None:
    fault, section = FAULTS[name], " ".join(SECTIONS[name].split())
    condition, reason = fault.condition.value, fault.reason.value
    link = f"`{condition}` [`{reason}`](troubleshooting.md#{condition.lower()}-{reason.lower()})"
    assert link in section
    assert f"### {condition}: `{reason}`" in PARAGRAPHS
    assert any(word.lower() in section.replace("`", "").lower() for word in fault.words)


@each_failure
def test_its_codes_metrics_and_alerts_exist(name: str) -> None:
    section = SECTIONS[name]
    metrics = re.findall(r"`(chatfleet_\w+)`", section)
    assert metrics
    assert set(metrics) <= METRICS.keys()
    symptom = section.partition("**Find.**")[0]
    assert {code for _, code in re.findall(r"(50\d) `(\w+)`", symptom)} <= set(Code)
    for title, alert in re.findall(r"\[(\w+)\]\(runbooks/(\w+)\.md\)", section):
        assert title == alert
        assert (ROOT / f"docs/operations/runbooks/{alert}.md").exists()
