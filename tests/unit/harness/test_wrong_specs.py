"""The table of wrong ChatDeployments: large enough, readable, and about every field."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from chatfleet_contract.crd import resource
from chatfleet_contract.reasons import REASONS
from chatfleet_contract.status import ConditionType, Reason
from harness.kube.wrong_specs import WrongSpec, wrong_specs

ROWS: Final = list(wrong_specs())
LEAST: Final = 120


def paths(value: object, path: str) -> Iterator[str]:
    """Yield the path of everything in a document, as a schema writes them."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}")
            yield f"{path}{{}}"
    if isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{path}[]")


def test_every_field_of_the_spec_is_wrong_in_some_row() -> None:
    nodes = [path for path, _ in resource().walk() if path.startswith(".spec")]
    leaves = {
        path for path in nodes if not any(other.startswith((f"{path}.", f"{path}[", f"{path}{{")) for other in nodes)
    }
    missing = leaves - {path for row in ROWS for path in paths(row.parts, ".spec")}
    assert not missing, "Add a row to tests/harness/kube/wrong_specs.yaml, then run tools/wrong_specs.py."


def test_the_table_is_large_and_names_each_mistake_once() -> None:
    assert len(ROWS) >= LEAST
    assert [name for name, count in Counter(map(str, ROWS)).items() if count > 1] == []


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_has_words_and_one_outcome(row: WrongSpec) -> None:
    assert row.words
    assert bool(row.refused) != bool(row.condition)
    if row.condition:
        kind, reason = row.condition
        assert Reason(reason) in REASONS[ConditionType(kind)]
