"""Reconciling: the current spec is not served yet, and the operator works on it. Present only while it is True.

Never together with Stalled: tools that wait (kstatus) take the first one of the two for the state.
"""

from typing import Final

from chatfleet_contract.status import ConditionStatus, Reason
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions import configuration_valid, ready, stalled
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, first, found, true
from chatfleet_operator.status.rollout import rollout


def _rolling_out(assessment: Assessment) -> ConditionResult | None:
    missing = rollout(assessment)
    return true(Reason.ROLLING_OUT, missing) if missing and _moves(assessment) else None


def _not_settled(assessment: Assessment) -> ConditionResult | None:
    """Not an outage of what was rolled out, which may last: Ready reports it."""
    served = first(assessment, ready.RULES)
    pending = served if served.status is ConditionStatus.UNKNOWN else configuration_valid.obstacle(assessment)
    return true(Reason.UPDATING, pending.message) if pending and _moves(assessment) else None


def _moves(assessment: Assessment) -> bool:
    return found(assessment, stalled.RULES) is None


RULES: Final[tuple[Rule, ...]] = (_rolling_out, _not_settled)
