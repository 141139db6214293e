"""What a condition says, and the shape of the rules that say it: the first rule with a finding decides."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from chatfleet_contract.status import ConditionStatus, Reason
from chatfleet_operator.status.assessment import Scene


class Finding(NamedTuple):
    """What a condition says."""

    status: ConditionStatus
    reason: Reason
    message: str


Rule: TypeAlias = Callable[[Scene], Finding | None]


def first(scene: Scene, *rules: Rule) -> Finding:
    """Return what the first of `rules` that has a finding says; one of them must."""
    return next(finding for rule in rules if (finding := rule(scene)))


def true(reason: Reason, message: str) -> Finding:
    """Return that it is so."""
    return Finding(ConditionStatus.TRUE, reason, message)


def false(reason: Reason, message: str) -> Finding:
    """Return that it is not so."""
    return Finding(ConditionStatus.FALSE, reason, message)


def unknown(reason: Reason, message: str) -> Finding:
    """Return that it cannot be told yet."""
    return Finding(ConditionStatus.UNKNOWN, reason, message)
