"""The steps of one reconciliation: observe, decide, carry out, report, requeue.

One reconciliation brings one ChatDeployment nearer to its spec and writes its status. It starts from nothing but the
live state, so it may end anywhere and run again; run twice, the second one writes nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from chatfleet_contract.status import ChatDeploymentStatus, ConditionType, Reason
from chatfleet_operator.model.defaults import Defaults
from chatfleet_operator.model.errors import Refused
from chatfleet_operator.model.ports import Cluster, Metrics, Prober, Recorder
from chatfleet_operator.model.requeue import Requeue, Result
from chatfleet_operator.model.values import Notice, Observed, Outcome, Plan, Ref, Timestamp
from chatfleet_operator.reconcile.carry_out import carry_out
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.reconcile.observe import observe
from chatfleet_operator.reconcile.repairs import Repairs
from chatfleet_operator.status.events import events, notices
from chatfleet_operator.status.report import report, transitions

AT_REST = frozenset({Reason.SERVING, Reason.ASLEEP, Reason.SUSPENDED, Reason.SCALED_TO_ZERO})
"""Reasons of Ready with which nothing is under way, unless Progressing has something."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reconciliation works with."""

    cluster: Cluster
    prober: Prober
    recorder: Recorder
    metrics: Metrics
    repairs: Repairs
    defaults: Defaults
    now: Callable[[], Timestamp]


async def reconcile(ref: Ref, parts: Parts) -> Result:
    """Reconcile `ref` once and return when to do so again.

    Raises `errors.ClusterError` if the state could not be read or the status not be written: try again later.
    """
    now = parts.now()
    seen = await observe(ref, parts.cluster, parts.prober, now, defaults=parts.defaults)
    if seen is None:
        parts.metrics.removed(ref)
        parts.repairs.forget(ref)
        return Result(Requeue.GONE)  # owner references clean up
    plan = parts.repairs.revise(seen, decide(seen, parts.defaults))
    outcome = await carry_out(seen, plan, parts.cluster, now)
    parts.repairs.record(seen, plan, outcome)
    parts.metrics.drift_repaired(plan.drifted & outcome.applied.keys())
    parts.metrics.conflicts_reported(ref, plan.conflicts)
    if plan.writes:
        logger.info("%s", plan, extra={"object": ref})
    for notice in plan.notices:
        await parts.recorder.notice(seen.resource, notice)
    if plan.generate and not outcome.failed:
        return Result(Requeue.IMMEDIATELY)  # the other children depend on the generated Secret
    status = report(seen, plan, outcome, parts.now())
    if not parts.repairs.is_overwritten(ref, status):
        await publish(seen, status, parts)
        parts.repairs.reported(ref, plan, status)
    parts.metrics.conditions_reported(ref, status)
    return requeue(plan, outcome, status)


async def publish(seen: Observed, status: ChatDeploymentStatus, parts: Parts) -> None:
    """Write `status` if it is new, and only then record what has changed."""
    if status == seen.resource.status:
        return
    try:
        await parts.cluster.write_status(seen.resource, status)
    except Refused as error:  # no condition can show it
        await parts.recorder.notice(seen.resource, Notice("StatusNotWritten", f"The status is outdated: {error}"))
        raise
    for condition in transitions(seen.resource.status, status):
        about = {"object": seen.resource.ref}
        logger.info("%s is %s: %s", condition.type, condition.status.value, condition.message, extra=about)
    for condition in events(seen.resource.status, status):
        await parts.recorder.record(seen.resource, condition)
    for notice in notices(seen.resource.status, status):
        await parts.recorder.notice(seen.resource, notice)


def requeue(plan: Plan, outcome: Outcome, status: ChatDeploymentStatus) -> Result:
    """Return when the next reconciliation is due, after this one."""
    if outcome.unfinished:
        return Result(Requeue.FAILED, min_delay=outcome.retry_after)
    if outcome.refused:
        return Result(Requeue.REFUSED)
    reasons = {known.type: known.reason for known in status.conditions or ()}
    at_rest = reasons[ConditionType.READY] in AT_REST and reasons[ConditionType.PROGRESSING] == Reason.COMPLETE
    return Result(Requeue.SETTLED if at_rest and not plan.writes else Requeue.UNSETTLED)
