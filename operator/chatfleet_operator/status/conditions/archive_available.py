"""ArchiveAvailable: the pods that have reported reach the PostgreSQL of the archive. Absent without an archive.

It stops no request: what is to be archived waits in Redis.
"""

from typing import Final

from chatfleet_contract.report import Dependency
from chatfleet_contract.status import Reason
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.dependency import connected, unavailable
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown


def _found(assessment: Assessment) -> dict[str, Dependency]:
    """Return what pods report that have an archive, where the spec has one."""
    if assessment.spec is None or assessment.spec.conversations.archive is None:
        return {}
    return {report.pod: report.archive for report in assessment.reports if report.archive}


def _unreachable(assessment: Assessment) -> ConditionResult | None:
    message = unavailable(_found(assessment), len(assessment.pods), "use PostgreSQL")
    return false(Reason.UNAVAILABLE, message) if message else None


def _reachable(assessment: Assessment) -> ConditionResult | None:
    message = connected(_found(assessment), len(assessment.pods), "use PostgreSQL")
    return true(Reason.CONNECTED, message) if message else None


def _unreported(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None or assessment.spec.conversations.archive is None:
        return None
    return unknown(Reason.NO_POD_REPORT, "No pod has reported on PostgreSQL yet.")


RULES: Final[tuple[Rule, ...]] = (_unreachable, _reachable, _unreported)
