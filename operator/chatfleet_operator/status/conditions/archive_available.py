"""ArchiveAvailable: the pods that have reported reach the PostgreSQL of the archive. Absent without an archive.

It stops no request: what is to be archived waits in Redis.
"""

from collections.abc import Mapping
from typing import Final

from chatfleet_contract.report import Dependency, State
from chatfleet_contract.status import Reason
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown


def _by_pod(assessment: Assessment, state: State) -> Mapping[str, Dependency]:
    """Return what pods report that have an archive, where the spec has one."""
    if assessment.spec is None or assessment.spec.conversations.archive is None:
        return {}
    found = {report.pod: report.archive for report in assessment.reports if report.archive}
    return {pod: archive for pod, archive in sorted(found.items()) if archive.state is state}


def _unreachable(assessment: Assessment) -> ConditionResult | None:
    down = _by_pod(assessment, State.DOWN)
    if not down:
        return None
    pod, archive = next(iter(down.items()))
    count = f"{len(down)} of {len(assessment.pods)} pods cannot use PostgreSQL."
    return false(Reason.UNAVAILABLE, f"{count} Pod {pod}: {archive.message or archive.state.value}")


def _reachable(assessment: Assessment) -> ConditionResult | None:
    up, pods = _by_pod(assessment, State.UP), len(assessment.pods)
    if not up:
        return None
    behind = next((f" Pod {pod}: {archive.message}" for pod, archive in up.items() if archive.message), "")
    return true(Reason.CONNECTED, f"{len(up)} of {pods} pods can use PostgreSQL.{behind}")


def _unreported(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None or assessment.spec.conversations.archive is None:
        return None
    return unknown(Reason.NO_POD_REPORT, "No pod has reported on PostgreSQL yet.")


RULES: Final[tuple[Rule, ...]] = (_unreachable, _reachable, _unreported)
