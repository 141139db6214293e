"""Progressing: a rollout is under way, has ended, or cannot go on."""

from collections.abc import Mapping
from typing import Final

from chatfleet_contract import names
from chatfleet_contract.status import Reason
from chatfleet_operator.model.start_failure import Cause
from chatfleet_operator.status.assessment import Assessment, status_int
from chatfleet_operator.status.conditions.messages import conflicting, listed, not_applied
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown
from chatfleet_operator.status.rollout import deadline_exceeded, rollout, start_failures

REASONS: Final[Mapping[Cause, Reason]] = {
    Cause.NOT_CREATED: Reason.FAILED_CREATE,
    Cause.VOLUME: Reason.VOLUME_UNAVAILABLE,
    Cause.UNSCHEDULABLE: Reason.UNSCHEDULABLE,
    Cause.IMAGE: Reason.IMAGE_PULL_FAILED,
    Cause.CONTAINER_NOT_CREATED: Reason.CREATE_CONTAINER_FAILED,
    Cause.CRASH: Reason.CRASH_LOOP_BACK_OFF,
    Cause.OUT_OF_MEMORY: Reason.OOM_KILLED,
    Cause.NODE_LOST: Reason.NODE_LOST,
}


def _spec_unreadable(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None:
        return false(Reason.BLOCKED, "The spec is invalid, and nothing is rolled out. See ConfigurationValid.")
    return None


def _paused(assessment: Assessment) -> ConditionResult | None:
    """Unknown, as of a paused Deployment: whether the newest generation runs is not pursued."""
    if not assessment.seen.resource.paused:
        return None
    annotation, withheld = f"{names.ANNOTATION_RECONCILE}={names.RECONCILE_PAUSED}", assessment.plan.withheld
    since = f"Writes are paused since {assessment.paused_since} by the annotation {annotation}."
    verb = "differs" if len(withheld) == 1 else "differ"
    waiting = f" {listed(withheld)} {verb} from the spec." if withheld else ""
    return unknown(Reason.PAUSED, f"{since}{waiting} To resume, remove the annotation.")


def _deployment_unwritable(assessment: Assessment) -> ConditionResult | None:
    unwritable = [key for key in (*assessment.plan.foreign, *assessment.refused) if key.kind == "Deployment"]
    if unwritable:
        return false(Reason.BLOCKED, f"{unwritable[0]} cannot be written. See ConfigurationValid.")
    blocked = not_applied(assessment.plan.blocked)
    return false(Reason.BLOCKED, f"{blocked} See ConfigurationValid.") if blocked else None


def _conflict(assessment: Assessment) -> ConditionResult | None:
    conflicts = assessment.plan.conflicts
    if not conflicts:
        return None
    namespace = assessment.seen.resource.ref.namespace
    return false(Reason.CONFLICT, f"{conflicting(conflicts, namespace)} {rollout(assessment)}".strip())


def _pods_do_not_start(assessment: Assessment) -> ConditionResult | None:
    """The cause, also of pods beyond those that a rollout needs: an autoscaler has added them."""
    failures = assessment.seen.start_failures
    if not failures:
        return None
    return false(REASONS[failures[0].cause], rollout(assessment) or start_failures(assessment))


def _deadline_exceeded(assessment: Assessment) -> ConditionResult | None:
    text = deadline_exceeded(assessment)
    return false(Reason.DEADLINE_EXCEEDED, text) if text else None


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
    _paused,
    _deployment_unwritable,
    _conflict,
    _pods_do_not_start,
    _deadline_exceeded,
    _rolling_out,
    _complete,
)
