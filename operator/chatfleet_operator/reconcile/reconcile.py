"""The page: observe, decide, carry out, report.

One pass brings one ChatDeployment nearer to what its spec says and writes down what is true. It starts from nothing but
the live state, so it may be cut anywhere and run again; run twice, the second pass writes nothing.
"""

import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from chatfleet_contract import names
from chatfleet_contract.status import ChatDeploymentStatus, ConditionType, Reason
from chatfleet_operator.model.errors import Refused, Retry
from chatfleet_operator.model.ports import Cluster, Metrics, Prober, Recorder
from chatfleet_operator.model.values import (
    Defaults,
    Manifest,
    ObjectId,
    Observed,
    Outcome,
    Plan,
    Ref,
    Requeue,
    Result,
    Timestamp,
    identify,
)
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.reconcile.observe import observe
from chatfleet_operator.status.report import report, transitions

Step: TypeAlias = tuple[ObjectId, Callable[[], Coroutine[Any, Any, Manifest | None]]]
"""One write, and what it is about."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pass works with."""

    cluster: Cluster
    prober: Prober
    recorder: Recorder
    metrics: Metrics
    defaults: Defaults
    now: Callable[[], Timestamp]


async def reconcile(ref: Ref, parts: Parts) -> Result:
    """Run one pass for `ref` and return when to look again.

    Raises `errors.ClusterError` when the state could not be read or the status not be written: try again later.
    """
    now = parts.now()
    seen = await observe(ref, parts.cluster, parts.prober, now)
    if seen is None:
        parts.metrics.removed(ref)
        return Result(Requeue.GONE)  # owner references clean up
    plan = decide(seen, parts.defaults)
    outcome = await carry_out(seen, plan, parts.cluster, now)
    if plan.writes:
        logger.info("%s", plan, extra={"object": ref})
    if plan.generate and not outcome.failed:
        return Result(Requeue.IMMEDIATELY)  # the rest is built on what was just drawn
    status = report(seen, plan, outcome, parts.now())
    await publish(seen, status, parts)
    parts.metrics.drift_repaired(plan.drifted)
    parts.metrics.conditions_reported(ref, status)
    return look_again(plan, outcome, status)


async def carry_out(seen: Observed, plan: Plan, cluster: Cluster, now: Timestamp) -> Outcome:
    """Do what `plan` says, in order. What is refused is noted and the rest goes on; what is transient ends it."""
    applied: dict[ObjectId, Manifest] = {}
    refused: dict[ObjectId, str] = {}

    async def do(steps: Iterable[Step]) -> None:
        for key, step in steps:
            if key in refused:  # a Deployment whose number of pods could not be entrusted would lose it
                continue
            try:
                live = await step()
            except Refused as message:
                refused[key] = str(message)
            else:
                applied.update({key: live} if live else {})

    try:
        await do(_steps(seen, plan, cluster, now))
        if ObjectId("ConfigMap", names.config_name(seen.resource.ref.name)) not in refused:
            await do(_pointing(seen, plan, cluster))
    except Retry as error:
        return Outcome(applied, refused, unfinished=str(error), retry_after=error.after)
    return Outcome(applied, refused)


def _steps(seen: Observed, plan: Plan, cluster: Cluster, now: Timestamp) -> Iterator[Step]:
    namespace = seen.resource.ref.namespace
    for manifest in plan.generate:
        yield identify(manifest), partial(cluster.generate, manifest)
    for deletion in plan.delete_first:
        yield deletion.id, partial(cluster.delete, namespace, deletion)
    for pod, cost in plan.deletion_costs.items():  # before there are to be fewer
        yield ObjectId("Pod", pod), partial(cluster.set_deletion_cost, namespace, pod, cost, now)
    if plan.hand_over_replicas:
        yield identify(plan.hand_over_replicas), partial(cluster.hand_over_replicas, plan.hand_over_replicas)
    for manifest in plan.apply:
        yield identify(manifest), partial(cluster.apply, manifest, _uid(seen, identify(manifest)))
    for deletion in plan.prune:
        yield deletion.id, partial(cluster.delete, namespace, deletion)


def _pointing(seen: Observed, plan: Plan, cluster: Cluster) -> Iterator[Step]:
    digest = plan.desired.config.digest() if plan.desired else ""
    for pod in plan.refresh_config:
        yield ObjectId("Pod", pod), partial(cluster.refresh_config, seen.resource.ref.namespace, pod, digest)


def _uid(seen: Observed, key: ObjectId) -> str | None:
    live = seen.children.get(key)
    return live["metadata"]["uid"] if live else None


async def publish(seen: Observed, status: ChatDeploymentStatus, parts: Parts) -> None:
    """Write `status` if it says anything new, and only then tell people what has changed."""
    if status == seen.resource.status:
        return
    await parts.cluster.write_status(seen.resource, status)
    for condition in transitions(seen.resource.status, status):
        about = {"object": seen.resource.ref}
        logger.info("%s is %s: %s", condition.type, condition.status.value, condition.message, extra=about)
        await parts.recorder.record(seen.resource, condition)


def look_again(plan: Plan, outcome: Outcome, status: ChatDeploymentStatus) -> Result:
    """Return when the next pass is due, after this one."""
    if outcome.failed:
        return Result(Requeue.FAILED, min_delay=outcome.retry_after)
    ready = next(known for known in status.conditions or () if known.type == ConditionType.READY)
    at_rest = ready.reason in {Reason.SERVING, Reason.SUSPENDED, Reason.SCALED_TO_ZERO}
    return Result(Requeue.SETTLED if at_rest and not plan.writes else Requeue.UNSETTLED)
