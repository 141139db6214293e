"""Available: requests through the Service are answered, by pods of any generation.

A rollout, a scale-up and a spec that cannot be applied leave it True as long as other pods serve.
"""

from typing import Final

from chatfleet_contract.report import PodReport, State
from chatfleet_contract.status import Reason
from chatfleet_operator.model.values import ObjectId, deployment_id
from chatfleet_operator.status.activation import (
    activator,
    activator_problem,
    is_activating,
    is_taking_over,
    scales_to_zero,
)
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown
from chatfleet_operator.status.rollout import rollout
from chatfleet_operator.status.upstreams import model_states


def _no_replicas(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None or assessment.replicas or scales_to_zero(assessment):
        return None
    if assessment.spec.suspend:
        return false(Reason.SUSPENDED, "spec.suspend is true.")
    return false(Reason.SCALED_TO_ZERO, f"{deployment_id(assessment.seen.resource.ref)} has 0 replicas.")


def _asleep(assessment: Assessment) -> ConditionResult | None:
    if not scales_to_zero(assessment) or assessment.replicas or activator_problem(assessment):
        return None
    return true(Reason.ASLEEP, f"{activator(assessment)} holds requests; each starts a pod.")


def _activating(assessment: Assessment) -> ConditionResult | None:
    if is_activating(assessment):
        return true(Reason.ACTIVATING, f"{activator(assessment)} holds requests until a pod is ready.")
    if not assessment.ready_pods and scales_to_zero(assessment) and is_taking_over(assessment):
        text = f"Pods that drain accept requests until {activator(assessment)} is ready."
        return true(Reason.ACTIVATING, text)
    return None


def _no_ready_pods(assessment: Assessment) -> ConditionResult | None:
    if assessment.ready_pods:
        return None
    missing = rollout(assessment)
    if scales_to_zero(assessment):
        missing = f"{activator_problem(assessment)} {missing}"
    return false(Reason.NO_READY_PODS, f"No pod is ready. {missing}".strip())


def _request_failed(assessment: Assessment) -> ConditionResult | None:
    service, probe = ObjectId("Service", assessment.seen.resource.ref.name), assessment.seen.probe
    if probe is None:
        return false(Reason.REQUEST_FAILED, f"{service} has no cluster IP, or is not an object of this ChatDeployment.")
    if not probe.problem:
        return None
    return false(Reason.REQUEST_FAILED, f"GET /v1/models through {service} failed: {probe.problem}")


def _no_redis(assessment: Assessment) -> ConditionResult | None:
    """Redis that one pod cannot use is an incident, and an outage if none can."""
    states = {pod.report.redis.state for pod in assessment.ready_pods if pod.report and pod.report.redis}
    if states != {State.DOWN}:
        return None
    return false(Reason.BLOCKED, "No ready pod can use Redis. See RedisAvailable.")


def _no_upstream(assessment: Assessment) -> ConditionResult | None:
    reports = [pod.report for pod in assessment.ready_pods if pod.report]
    states = {_state(report) for report in reports if report.config != assessment.digest}
    if any(report.config == assessment.digest for report in reports):
        states.update(model_states(assessment).values())
    if State.UP in states:
        return None
    if State.UNKNOWN in states or not states:
        return unknown(Reason.BLOCKED, "No ready pod has reported on its upstreams yet. See UpstreamsAvailable.")
    return false(Reason.BLOCKED, "No model has an available upstream. See UpstreamsAvailable.")


def _state(report: PodReport) -> State:
    """Return whether a pod of an earlier configuration, whose models the spec may no longer have, can answer."""
    failing = bool(report.models) and all(each.state is State.DOWN for each in report.models.values())
    if failing:
        return State.DOWN
    states = {each.state for each in report.upstreams.values()}
    return State.UP if State.UP in states else State.DOWN if states == {State.DOWN} else State.UNKNOWN


def _serving(assessment: Assessment) -> ConditionResult:
    ready = len(assessment.ready_pods)
    count = f"{ready} {'pod is' if ready == 1 else 'pods are'} ready"
    service = ObjectId("Service", assessment.seen.resource.ref.name)
    return true(Reason.SERVING, f"{count}, and GET /v1/models through {service} was answered.")


RULES: Final[tuple[Rule, ...]] = (
    _no_replicas,
    _asleep,
    _activating,
    _no_ready_pods,
    _request_failed,
    _no_redis,
    _no_upstream,
    _serving,
)
