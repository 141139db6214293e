"""RedisAvailable: the pods that have reported reach Redis."""

from collections.abc import Mapping
from typing import Final

from chatfleet_contract.report import Dependency, State
from chatfleet_contract.status import Reason
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown


def _by_pod(assessment: Assessment, state: State) -> Mapping[str, Dependency]:
    found = {report.pod: report.redis for report in assessment.reports if report.redis}
    return {pod: redis for pod, redis in sorted(found.items()) if redis.state is state}


def _unreachable(assessment: Assessment) -> ConditionResult | None:
    down = _by_pod(assessment, State.DOWN)
    if not down:
        return None
    pod, redis = next(iter(down.items()))
    count = f"{len(down)} of {len(assessment.pods)} pods cannot reach Redis."
    return false(Reason.UNAVAILABLE, f"{count} Pod {pod}: {redis.message or redis.state.value}")


def _reachable(assessment: Assessment) -> ConditionResult | None:
    up, pods = _by_pod(assessment, State.UP), len(assessment.pods)
    if not up:
        return None
    unproven = next((f" Pod {pod}: {redis.message}" for pod, redis in up.items() if redis.message), "")
    return true(Reason.CONNECTED, f"{len(up)} of {pods} pods can reach Redis.{unproven}")


def _unreported(_assessment: Assessment) -> ConditionResult:
    return unknown(Reason.NO_POD_REPORT, "No pod has reported on Redis yet.")


RULES: Final[tuple[Rule, ...]] = (_unreachable, _reachable, _unreported)
