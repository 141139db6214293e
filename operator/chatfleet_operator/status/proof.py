"""What Ready needs to become True beyond what keeps it True: each ready pod has shown that it can answer."""

from chatfleet_contract.report import PodReport, State
from chatfleet_contract.status import ConditionStatus, ConditionType
from chatfleet_operator.status.assessment import Assessment


def unproven(assessment: Assessment) -> str:
    """Return what a ready pod has not checked or cannot use, as a sentence; empty: nothing.

    Requests go to every ready pod, so one of them that cannot answer fails its share. Once Ready is True for a
    generation, pods that an autoscaler adds do not take it back while they check.
    """
    if _was_ready(assessment):
        return ""
    providers = {model.provider for model in assessment.spec.models} if assessment.spec else set()
    reports = (pod.report for pod in assessment.ready_pods if pod.report)
    return next((text for report in reports if (text := _unproven_by(report, providers))), "")


def _was_ready(assessment: Assessment) -> bool:
    before = assessment.before(ConditionType.READY)
    current = before is not None and before.observed_generation == assessment.seen.resource.generation
    return current and before is not None and before.status is ConditionStatus.TRUE


def _unproven_by(report: PodReport, providers: set[str]) -> str:
    if report.redis and report.redis.state is State.UNKNOWN:
        return f"Pod {report.pod} has not checked Redis yet. See RedisAvailable."
    states = {name: report.upstreams[name].state for name in providers & report.upstreams.keys()}
    unchecked = sorted(name for name in providers if states.get(name, State.UNKNOWN) is State.UNKNOWN)
    if unchecked:
        return f"Pod {report.pod} has not checked upstream {unchecked[0]} yet. See UpstreamsAvailable."
    if State.UP not in states.values():
        return f"Pod {report.pod} has no available upstream. See UpstreamsAvailable."
    return ""
