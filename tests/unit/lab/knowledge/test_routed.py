"""The measurement of agents with documents: a short form, and that it measures answers of the member from documents."""

import time

import pytest

from chatfleet_lab.knowledge.corpus import Question, questions
from chatfleet_lab.knowledge.page import Result, page
from chatfleet_lab.knowledge.routed import routed


async def test_the_time_to_the_first_token_is_measured_and_on_the_page() -> None:
    found = await routed(50, questions()[:5], time.perf_counter)
    assert 0 < found.p50 <= found.p95 <= found.longest
    row = f"| 50 | {found.p50:.1f} | {found.p95:.1f} | {found.longest:.1f} |"
    assert row in page(Result("2026-11-29", "a machine", 1, 5, 0.5, [], [], [found], [])).splitlines()


async def test_an_answer_that_is_not_from_documents_is_no_figure() -> None:
    with pytest.raises(ValueError, match="not answered by technical from documents"):
        await routed(50, [Question("Xyzzy qwrtz?", "none")], time.perf_counter)
