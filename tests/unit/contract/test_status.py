"""Conditions and their reasons."""

from chatfleet_contract.reasons import REASONS
from chatfleet_contract.status import ConditionType, Reason


def test_every_condition_has_reasons_and_every_reason_a_condition() -> None:
    assert set(REASONS) == set(ConditionType)
    assert {reason for reasons in REASONS.values() for reason in reasons} == set(Reason)
