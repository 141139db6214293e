"""Testing: pods answer `/test/*`. Present only while that is True."""

from typing import Final

from chatfleet_contract.status import Reason
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.messages import listed
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, true


def _wanted(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None or not assessment.spec.observability.test_routes:
        return None
    return true(
        Reason.TEST_ROUTES,
        "Callers may use /test/* of the pods, because spec.observability.testRoutes is true."
        " Remove it when the tests are done.",
    )


def _served_still(assessment: Assessment) -> ConditionResult | None:
    """A pod may not have read the newest configuration yet, or cannot use it."""
    pods = sorted(report.pod for report in assessment.reports if report.test_routes)
    if not pods:
        return None
    verb = "answers" if len(pods) == 1 else "answer"
    return true(
        Reason.TEST_ROUTES,
        f"{listed(f'Pod {name}' for name in pods)} still {verb} /test/*."
        " If this lasts, see ConfigurationValid: the pods keep an older configuration.",
    )


RULES: Final[tuple[Rule, ...]] = (_wanted, _served_still)
