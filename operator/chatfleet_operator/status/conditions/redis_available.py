"""RedisAvailable: the pods that have reported reach Redis."""

from typing import Final

from chatfleet_contract.report import Dependency
from chatfleet_contract.status import Reason
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.dependency import connected, unavailable
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown


def _found(assessment: Assessment) -> dict[str, Dependency]:
    return {report.pod: report.redis for report in assessment.reports if report.redis}


def _unreachable(assessment: Assessment) -> ConditionResult | None:
    message = unavailable(_found(assessment), len(assessment.pods), "reach Redis")
    return false(Reason.UNAVAILABLE, message) if message else None


def _reachable(assessment: Assessment) -> ConditionResult | None:
    message = connected(_found(assessment), len(assessment.pods), "reach Redis")
    return true(Reason.CONNECTED, message) if message else None


def _unreported(_assessment: Assessment) -> ConditionResult:
    return unknown(Reason.NO_POD_REPORT, "No pod has reported on Redis yet.")


RULES: Final[tuple[Rule, ...]] = (_unreachable, _reachable, _unreported)
