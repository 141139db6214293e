"""Each condition has the reasons that the contract documents, and no others."""

import ast
import inspect
from pathlib import Path

import pytest

from chatfleet_contract.reasons import REASONS
from chatfleet_contract.status import ConditionType, Reason
from chatfleet_operator.status.conditions import RULES


def reasons_in(source: str) -> set[str]:
    """Return the names after `Reason.` in Python code."""
    nodes = ast.walk(ast.parse(source))
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }


@pytest.mark.parametrize("kind", ConditionType)
def test_the_rules_of_a_condition_use_its_documented_reasons_and_all_of_them(kind: ConditionType) -> None:
    (file,) = {inspect.getfile(rule) for rule in RULES[kind]}

    assert reasons_in(Path(file).read_text()) == {reason.name for reason in REASONS[kind]}


def test_every_reason_belongs_to_a_condition() -> None:
    assert {reason for reasons in REASONS.values() for reason in reasons} == set(Reason)


def test_conditions_are_evaluated_in_the_order_of_the_contract() -> None:
    assert list(RULES) == list(REASONS) == list(ConditionType)
