"""Scale to zero: who serves requests while no API pod does."""

from chatfleet_contract import names
from chatfleet_operator.children.activator import may_scale_to_zero
from chatfleet_operator.model.values import ObjectId
from chatfleet_operator.status.assessment import Assessment, is_observed, status_int


def scales_to_zero(assessment: Assessment) -> bool:
    """Whether there may be no API pod although requests are to be served."""
    return assessment.spec is not None and may_scale_to_zero(assessment.spec)


def activator(assessment: Assessment) -> ObjectId:
    return ObjectId("Deployment", names.activator_name(assessment.seen.resource.ref.name))


def activator_problem(assessment: Assessment) -> str:
    """Return why the activator does not accept requests, as a sentence; empty: it does."""
    key = activator(assessment)
    live = assessment.child(key)
    if live is None or not is_observed(live):
        return f"{key} is not rolled out yet."
    return "" if status_int(live, "readyReplicas") else f"{key} has 0 of 1 ready replicas."


def is_taking_over(assessment: Assessment) -> bool:
    """Whether the last API pod still drains: it accepts requests until the activator, which follows it, is ready."""
    drains = any(pod.terminating and pod.report for pod in assessment.seen.pods)
    return drains and assessment.child(activator(assessment)) is not None and not assessment.seen.start_failures


def is_activating(assessment: Assessment) -> bool:
    """Whether the activator holds requests until an API pod is ready, and nothing keeps that pod from its start."""
    starts = scales_to_zero(assessment) and assessment.replicas > 0 and not assessment.ready_pods
    return starts and not activator_problem(assessment) and not assessment.seen.start_failures
