"""What a condition says, and the shape of the rules that say it: the first rule with a finding decides."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from chatfleet_contract.status import Reason, Truth
from chatfleet_operator.scene import Scene


class Finding(NamedTuple):
    """What a condition says."""

    status: Truth
    reason: Reason
    message: str


Rule: TypeAlias = Callable[[Scene], Finding | None]


def first(scene: Scene, *rules: Rule) -> Finding:
    """Return what the first of `rules` that has a finding says; one of them must."""
    return next(finding for rule in rules if (finding := rule(scene)))


def true(reason: Reason, message: str) -> Finding:
    """Return that it is so."""
    return Finding(Truth.TRUE, reason, message)


def false(reason: Reason, message: str) -> Finding:
    """Return that it is not so."""
    return Finding(Truth.FALSE, reason, message)


def unknown(reason: Reason, message: str) -> Finding:
    """Return that it cannot be told yet."""
    return Finding(Truth.UNKNOWN, reason, message)
