"""What pods have counted beside what the upstream has sent: each record that is missing, or comes twice, is noticed."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from chatfleet_lab.chaos.counted import Answers, Fate, compare
from chatfleet_lab.chaos.scenario import Findings
from harness.clients.client import Question, Sums
from harness.upstream.ledger import Call
from harness.upstream.script import Script

SUMS = Sums(1, 1, 7, 100, 0, None)


def answers(fate: Fate, *, sent: int = 100, counted: Sums | None = SUMS) -> Answers:
    sums = {} if counted is None else {"u": counted}
    return Answers({"u": (fate, Question(Script("u", 200), "openai"))}, {"u": [Call("u", 0, 0, tokens=sent)]}, sums)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answers("left"), []),
        (answers("left", sent=0, counted=None), []),
        (answers("left", counted=None), ["1 of 1 answers are missing in the sums.", "Of those who left 0 tokens"]),
        (answers("finished", counted=replace(SUMS, requests=2)), ["1 of 1 answers are twice in the sums."]),
        (answers("left", sent=103), ["Of those who left 100 tokens are counted, and 103 were sent."]),
        (answers("left", sent=102), []),
        (answers("killed", sent=130), []),
        (answers("killed", sent=150), ["Of an answer of a killed pod 100 tokens are counted, and 150 were sent."]),
        (answers("killed", sent=99), ["Of an answer of a killed pod 100 tokens are counted, and 99 were sent."]),
        (answers("killed", counted=None), ["1 of 1 answers are missing in the sums."]),
    ],
)
def test_what_differs_is_said(given: Answers, expected: Sequence[str]) -> None:
    found = Findings()
    compare(found, given, 2.0)
    assert len(found.failures) == len(expected)
    assert all(failure.startswith(begin) for failure, begin in zip(found.failures, expected, strict=True))
