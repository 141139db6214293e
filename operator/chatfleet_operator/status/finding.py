"""What a condition says, and the shape of the rules that say it: the first rule with a result decides."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from chatfleet_contract.status import ConditionStatus, Reason
from chatfleet_operator.status.assessment import Assessment


class ConditionResult(NamedTuple):
    """What a condition says."""

    status: ConditionStatus
    reason: Reason
    message: str


Rule: TypeAlias = Callable[[Assessment], ConditionResult | None]


def first(assessment: Assessment, *rules: Rule) -> ConditionResult:
    """Return what the first of `rules` that has a result says; one of them must."""
    return next(result for rule in rules if (result := rule(assessment)))


def true(reason: Reason, message: str) -> ConditionResult:
    """Return that it is so."""
    return ConditionResult(ConditionStatus.TRUE, reason, message)


def false(reason: Reason, message: str) -> ConditionResult:
    """Return that it is not so."""
    return ConditionResult(ConditionStatus.FALSE, reason, message)


def unknown(reason: Reason, message: str) -> ConditionResult:
    """Return that it cannot be reading yet."""
    return ConditionResult(ConditionStatus.UNKNOWN, reason, message)
