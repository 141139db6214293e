"""Ready: a request through the Service is answered with the current configuration, and nothing else is wrong."""

from typing import Final

from chatfleet_contract.report import State
from chatfleet_contract.spec.providers import Model
from chatfleet_contract.status import ConditionStatus, ConditionType, Reason
from chatfleet_operator.model.values import ObjectId, deployment_id
from chatfleet_operator.status.activation import (
    activator,
    activator_problem,
    is_activating,
    is_taking_over,
    scales_to_zero,
)
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions import autoscaling_active, configuration_valid, redis_available
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, first, true, unknown
from chatfleet_operator.status.proof import unproven
from chatfleet_operator.status.rollout import rollout, start_failures
from chatfleet_operator.status.upstreams import model_states


def _no_replicas(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None or assessment.replicas or scales_to_zero(assessment):
        return None
    if assessment.spec.suspend:
        return false(Reason.SUSPENDED, "spec.suspend is true. Conversations and configuration are kept.")
    if assessment.spec.autoscaling:
        key = deployment_id(assessment.seen.resource.ref)
        return false(Reason.SCALED_TO_ZERO, f"{key} is scaled to 0 replicas. See AutoscalingActive.")
    return false(Reason.SCALED_TO_ZERO, "spec.replicas is 0.")


def _blocked_by(kind: ConditionType, result: ConditionResult) -> ConditionResult | None:
    if result.status is ConditionStatus.TRUE:
        return None
    return ConditionResult(result.status, Reason.BLOCKED, f"{kind.value} is {result.status.value}: {result.message}")


def _configuration_invalid(assessment: Assessment) -> ConditionResult | None:
    result = configuration_valid.obstacle(assessment)
    return _blocked_by(ConditionType.CONFIGURATION_VALID, result) if result else None


def _asleep(assessment: Assessment) -> ConditionResult | None:
    """No request is sent to prove it, since each one starts a pod: the activator and the autoscaler must work."""
    if assessment.replicas or not scales_to_zero(assessment):
        return None
    if missing := rollout(assessment):
        return unknown(Reason.UPDATING, missing)
    if problem := activator_problem(assessment):
        if is_taking_over(assessment):
            return unknown(Reason.ACTIVATING, f"The last pods drain until {activator(assessment)} is ready.")
        return false(Reason.NO_READY_PODS, f"No pod is ready. {problem} {start_failures(assessment)}".strip())
    scaling = _blocked_by(ConditionType.AUTOSCALING_ACTIVE, first(assessment, autoscaling_active.RULES))
    return scaling or true(Reason.ASLEEP, f"{activator(assessment)} holds requests; each starts a pod.")


def _activating(assessment: Assessment) -> ConditionResult | None:
    if not is_activating(assessment):
        return None
    return unknown(Reason.ACTIVATING, f"{activator(assessment)} holds requests until a pod is ready.")


def _no_ready_pods(assessment: Assessment) -> ConditionResult | None:
    if assessment.ready_pods:
        return None
    return false(Reason.NO_READY_PODS, f"No pod is ready. {rollout(assessment)}".strip())


def _updating(assessment: Assessment) -> ConditionResult | None:
    missing = rollout(assessment)
    return unknown(Reason.UPDATING, missing) if missing else None


def _redis_unavailable(assessment: Assessment) -> ConditionResult | None:
    return _blocked_by(ConditionType.REDIS_AVAILABLE, first(assessment, redis_available.RULES))


def _no_model_answers(assessment: Assessment) -> ConditionResult | None:
    """One upstream less is an incident; no model left to answer is an outage."""
    states = model_states(assessment)
    models = {model.name: model for model in assessment.spec.models} if assessment.spec else {}

    def links(model: Model) -> set[State]:
        return {states[name] for name in (model.name, *model.fallbacks) if name in states}

    found = set().union(*(links(model) for model in models.values()))
    if State.UP in found:
        return None
    if State.UNKNOWN in found:
        return unknown(Reason.BLOCKED, "No pod has checked an upstream of a model yet. See UpstreamsAvailable.")
    return false(Reason.BLOCKED, "No model has an available upstream. See UpstreamsAvailable.")


def _unproven(assessment: Assessment) -> ConditionResult | None:
    text = unproven(assessment)
    return unknown(Reason.BLOCKED, text) if text else None


def _service(assessment: Assessment) -> ObjectId:
    return ObjectId("Service", assessment.seen.resource.ref.name)


def _request(assessment: Assessment) -> str:
    return f"GET /v1/models through {_service(assessment)}"


def _no_cluster_ip(assessment: Assessment) -> ConditionResult | None:
    if assessment.seen.probe:
        return None
    return unknown(Reason.UPDATING, f"{_service(assessment)} has no cluster IP yet.")


def _request_failed(assessment: Assessment) -> ConditionResult | None:
    probe = assessment.seen.probe
    if not probe or not probe.problem:
        return None
    return false(Reason.REQUEST_FAILED, f"{_request(assessment)} failed: {probe.problem}")


def _previous_configuration(assessment: Assessment) -> ConditionResult | None:
    probe = assessment.seen.probe
    if not probe or probe.config == assessment.digest:
        return None
    return unknown(Reason.UPDATING, f"{_request(assessment)} returned a previous configuration.")


def _model_not_listed(assessment: Assessment) -> ConditionResult | None:
    models = assessment.spec.models if assessment.spec else []
    probe = assessment.seen.probe
    missing = sorted({model.name for model in models} - (probe.models if probe else frozenset()))
    if not missing:
        return None
    return false(Reason.REQUEST_FAILED, f"{_request(assessment)} did not list model {missing[0]}.")


def _serving(assessment: Assessment) -> ConditionResult:
    return true(Reason.SERVING, f"{_request(assessment)} returned the current configuration.")


RULES: Final[tuple[Rule, ...]] = (
    _no_replicas,
    _configuration_invalid,
    _asleep,
    _activating,
    _no_ready_pods,
    _updating,
    _redis_unavailable,
    _no_model_answers,
    _unproven,
    _no_cluster_ip,
    _request_failed,
    _previous_configuration,
    _model_not_listed,
    _serving,
)
