"""Stalled: the spec cannot be realized until someone changes something. Present only while it is True (kstatus).

What may end by itself is not Stalled: an outage, a full cluster, a lost node, a Secret that is created within seconds.
"""

from typing import Final

from chatfleet_contract.status import ConditionStatus, ConditionType, Reason
from chatfleet_operator.model.start_failure import Cause
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions import configuration_valid, progressing
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, first, true
from chatfleet_operator.status.rollout import deadline_exceeded, rollout, withheld_change

SETTLING_SECONDS: Final = 10.0
"""What is False for less may still be on its way: Secrets and policies that are applied together with the spec."""

NEEDS_CHANGE: Final = frozenset(
    {Cause.NOT_CREATED, Cause.IMAGE, Cause.CONTAINER_NOT_CREATED, Cause.CRASH, Cause.OUT_OF_MEMORY}
)
"""Causes that do not end by themselves."""


def _paused(assessment: Assessment) -> ConditionResult | None:
    if not assessment.seen.resource.paused or not withheld_change(assessment):
        return None
    return true(Reason.PAUSED, f"{withheld_change(assessment)} To resume, remove the annotation.")


def _configuration_invalid(assessment: Assessment) -> ConditionResult | None:
    result = configuration_valid.obstacle(assessment)
    return _lasting(assessment, ConditionType.CONFIGURATION_VALID, result) if result else None


def _deadline_exceeded(assessment: Assessment) -> ConditionResult | None:
    text = deadline_exceeded(assessment)
    return true(Reason.DEADLINE_EXCEEDED, text) if text else None


def _conflict(assessment: Assessment) -> ConditionResult | None:
    if not assessment.plan.conflicts:
        return None
    return _lasting(assessment, ConditionType.PROGRESSING, first(assessment, progressing.RULES))


def _pods_do_not_start(assessment: Assessment) -> ConditionResult | None:
    """Pods beyond those that a rollout needs do not count: an autoscaler has added them, and the spec is served."""
    causes = {failure.cause for failure in assessment.seen.start_failures}
    if not causes & NEEDS_CHANGE or not rollout(assessment):
        return None
    return _lasting(assessment, ConditionType.PROGRESSING, first(assessment, progressing.RULES))


def _lasting(assessment: Assessment, kind: ConditionType, result: ConditionResult) -> ConditionResult | None:
    if result.status is not ConditionStatus.FALSE or assessment.seconds_false(kind) < SETTLING_SECONDS:
        return None
    return true(Reason.BLOCKED, f"{kind.value} is {result.status.value} ({result.reason.value}): {result.message}")


RULES: Final[tuple[Rule, ...]] = (_paused, _configuration_invalid, _deadline_exceeded, _conflict, _pods_do_not_start)
