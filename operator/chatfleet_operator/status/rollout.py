"""What still keeps the current generation from being complete."""

from typing import Final

from chatfleet_contract import names
from chatfleet_operator.model.values import ObjectId, deployment_id
from chatfleet_operator.status.assessment import Assessment, is_observed, status_int

MAX_CAUSES: Final = 2
"""Causes that one message has."""


def rollout(assessment: Assessment) -> str:
    """Return what is missing, as a sentence, and why; empty: nothing is."""
    if assessment.outcome.unfinished:
        return f"The API server has not accepted every object yet: {assessment.outcome.unfinished}"
    missing = withheld_change(assessment) or _deployment(assessment) or _redis(assessment) or _configuration(assessment)
    return f"{missing} {start_failures(assessment)}".strip() if missing else ""


def start_failures(assessment: Assessment) -> str:
    """Return why pods do not start, the first causes of several; empty: they do."""
    return " ".join(failure.message for failure in assessment.seen.start_failures[:MAX_CAUSES])


def deadline_exceeded(assessment: Assessment) -> str:
    """Return that the Deployment made no progress within its deadline, as a sentence; empty: it did."""
    live = assessment.deployment
    missing = rollout(assessment) if live else ""
    for condition in ((live or {}).get("status") or {}).get("conditions") or []:
        if missing and condition.get("type") == "Progressing" and condition.get("status") == "False":
            return f"{missing} {condition.get('message', '')}".strip()
    return ""


def withheld_change(assessment: Assessment) -> str:
    """Return that a change waits for the end of a pause, as a sentence; empty: none does.

    What others edited does not: it is what the pause protects.
    """
    plan = assessment.plan
    waiting = [key for key in plan.withheld if key not in plan.edited]
    return f"{waiting[0]} is not applied, because writes are paused. See Progressing." if waiting else ""


def _deployment(assessment: Assessment) -> str:
    live, wanted = assessment.deployment, assessment.required_replicas
    key = deployment_id(assessment.seen.resource.ref)
    if live is None or not is_observed(live):
        return f"{key} is not rolled out yet."
    updated, ready = status_int(live, "updatedReplicas"), status_int(live, "readyReplicas")
    if updated < wanted:
        return f"{key} has {updated} of {wanted} updated replicas."
    old = status_int(live, "replicas") - updated
    if old > 0:
        return f"{key} has {old} old replicas that are pending termination."
    if ready < wanted or status_int(live, "availableReplicas") < wanted:
        return f"{key} has {ready} of {wanted} ready replicas."
    return ""


def _redis(assessment: Assessment) -> str:
    if assessment.spec is None or assessment.spec.redis.managed is None:
        return ""
    live = assessment.redis
    key = ObjectId("StatefulSet", names.redis_name(assessment.seen.resource.ref.name))
    if live is None or not is_observed(live) or status_int(live, "updatedReplicas") < 1:
        return f"{key} is not rolled out yet."
    return "" if status_int(live, "readyReplicas") else f"{key} has 0 of 1 ready replicas."


def _configuration(assessment: Assessment) -> str:
    serving = [pod.report for pod in assessment.pods if pod.ready]
    current = sum(report is not None and report.config == assessment.digest for report in serving)
    if current < len(serving):
        return f"{current} of {len(serving)} ready pods serve the current configuration."
    return ""
