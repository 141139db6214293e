"""The value of a condition, and the shape of the rules that produce it."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from chatfleet_contract.status import ConditionStatus, Reason
from chatfleet_operator.status.assessment import Assessment


class ConditionResult(NamedTuple):
    status: ConditionStatus
    reason: Reason
    message: str


Rule: TypeAlias = Callable[[Assessment], ConditionResult | None]
"""None: the rule does not apply, and the next one decides."""


def found(assessment: Assessment, rules: Iterable[Rule]) -> ConditionResult | None:
    """Return the result of the first of `rules` that applies; None: none does."""
    return next((result for rule in rules if (result := rule(assessment))), None)


def first(assessment: Assessment, rules: Iterable[Rule]) -> ConditionResult:
    """Return the result of the first of `rules` that applies; the last one always does."""
    return next(result for rule in rules if (result := rule(assessment)))


def true(reason: Reason, message: str) -> ConditionResult:
    return ConditionResult(ConditionStatus.TRUE, reason, message)


def false(reason: Reason, message: str) -> ConditionResult:
    return ConditionResult(ConditionStatus.FALSE, reason, message)


def unknown(reason: Reason, message: str) -> ConditionResult:
    return ConditionResult(ConditionStatus.UNKNOWN, reason, message)
