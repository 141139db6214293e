"""KnowledgeAvailable: the pods that have reported can use the collections of ChromaDB. Absent without one.

`Ready` does not depend on it: models without that knowledge serve, and others as `knowledge.onUnavailable` has it.
"""

from typing import Final

from chatfleet_contract.report import Dependency
from chatfleet_contract.status import Reason
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.dependency import connected, unavailable
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown

USE: Final = "use ChromaDB"


def _has_collection(assessment: Assessment) -> bool:
    return assessment.spec is not None and any(each.collection for _, each in assessment.spec.all_knowledge())


def _found(assessment: Assessment) -> dict[str, Dependency]:
    """Return what pods report that have a collection, where the spec has one."""
    if not _has_collection(assessment):
        return {}
    return {report.pod: report.chromadb for report in assessment.reports if report.chromadb}


def _unreachable(assessment: Assessment) -> ConditionResult | None:
    message = unavailable(_found(assessment), len(assessment.pods), USE)
    return false(Reason.UNAVAILABLE, message) if message else None


def _reachable(assessment: Assessment) -> ConditionResult | None:
    message = connected(_found(assessment), len(assessment.pods), USE)
    return true(Reason.CONNECTED, message) if message else None


def _unreported(assessment: Assessment) -> ConditionResult | None:
    if not _has_collection(assessment):
        return None
    return unknown(Reason.NO_POD_REPORT, "No pod has reported on ChromaDB yet.")


RULES: Final[tuple[Rule, ...]] = (_unreachable, _reachable, _unreported)
