"""Progressing: a rollout is under way, has ended, or cannot go on."""

from typing import Final

from chatfleet_contract import names
from chatfleet_contract.status import Reason
from chatfleet_operator.status.assessment import Assessment, status_int
from chatfleet_operator.status.conditions.messages import not_applied
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true
from chatfleet_operator.status.rollout import rollout


def _spec_unreadable(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None:
        return false(Reason.BLOCKED, "The spec is invalid, and nothing is rolled out. See ConfigurationValid.")
    return None


def _deployment_unwritable(assessment: Assessment) -> ConditionResult | None:
    unwritable = [key for key in (*assessment.plan.foreign, *assessment.refused) if key.kind == "Deployment"]
    if unwritable:
        return false(Reason.BLOCKED, f"{unwritable[0]} cannot be written. See ConfigurationValid.")
    blocked = not_applied(assessment.plan.blocked)
    return false(Reason.BLOCKED, f"{blocked} See ConfigurationValid.") if blocked else None


def _deadline_exceeded(assessment: Assessment) -> ConditionResult | None:
    missing = rollout(assessment)
    live = assessment.deployment
    if not missing or live is None:
        return None
    for condition in (live.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Progressing" and condition.get("status") == "False":
            return false(Reason.DEADLINE_EXCEEDED, f"{missing} {condition.get('message', '')}".strip())
    return None


def _rolling_out(assessment: Assessment) -> ConditionResult | None:
    missing = rollout(assessment)
    return true(Reason.ROLLING_OUT, missing) if missing else None


def _complete(assessment: Assessment) -> ConditionResult:
    ready = status_int(assessment.deployment, "readyReplicas")
    complete = f"{ready} of {assessment.replicas} replicas run the current generation."
    wanted = assessment.plan.desired
    if wanted is None or wanted.revision == wanted.newest_revision:
        return false(Reason.COMPLETE, complete)
    opt_in = f"{names.ANNOTATION_TEMPLATE_REVISION}={wanted.newest_revision}"
    newer = f"Newer pod templates are available; to restart the pods with them, set the annotation {opt_in}."
    return false(Reason.COMPLETE, f"{complete} {newer}")


RULES: Final[tuple[Rule, ...]] = (
    _spec_unreadable,
    _deployment_unwritable,
    _deadline_exceeded,
    _rolling_out,
    _complete,
)
