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
from chatfleet_operator.model.ports import Cluster, Prober, Recorder, Watchtower
from chatfleet_operator.model.values import (
    Defaults,
    Manifest,
    Next,
    ObjectId,
    Observed,
    Outcome,
    Plan,
    Ref,
    Timestamp,
    Verdict,
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
    watchtower: Watchtower
    defaults: Defaults
    now: Callable[[], Timestamp]


async def reconcile(ref: Ref, parts: Parts) -> Next:
    """Run one pass for `ref` and return when to look again.

    Raises `errors.ClusterError` when the state could not be read or the status not be written: try again later.
    """
    now = parts.now()
    seen = await observe(ref, parts.cluster, parts.prober, now)
    if seen is None:
        parts.watchtower.forgotten(ref)
        return Next(Verdict.GONE)  # owner references clean up
    plan = decide(seen, parts.defaults)
    outcome = await carry_out(seen, plan, parts.cluster, now)
    if plan.writes:
        logger.info("%s", plan, extra={"object": ref})
    if plan.generate and not outcome.failed:
        return Next(Verdict.AT_ONCE)  # the rest is built on what was just drawn
    status = report(seen, plan, outcome, parts.now())
    await publish(seen, status, parts)
    parts.watchtower.planned(plan.drifted)
    parts.watchtower.judged(ref, status)
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
            except Refused as words:
                refused[key] = str(words)
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
    for doomed in plan.retire:
        yield doomed.id, partial(cluster.delete, namespace, doomed)
    for pod, cost in plan.costs.items():  # before there are to be fewer
        yield ObjectId("Pod", pod), partial(cluster.weigh_pod, namespace, pod, cost, now)
    if plan.entrust:
        yield identify(plan.entrust), partial(cluster.entrust, plan.entrust)
    for manifest in plan.apply:
        yield identify(manifest), partial(cluster.apply, manifest, _uid(seen, identify(manifest)))
    for doomed in plan.prune:
        yield doomed.id, partial(cluster.delete, namespace, doomed)


def _pointing(seen: Observed, plan: Plan, cluster: Cluster) -> Iterator[Step]:
    digest = plan.desired.config.digest() if plan.desired else ""
    for pod in plan.touch:
        yield ObjectId("Pod", pod), partial(cluster.point_pod, seen.resource.ref.namespace, pod, digest)


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
        await parts.recorder.tell(seen.resource, condition)


def look_again(plan: Plan, outcome: Outcome, status: ChatDeploymentStatus) -> Next:
    """Return when the next pass is due, after this one."""
    if outcome.failed:
        return Next(Verdict.FAILED, at_least=outcome.retry_after)
    ready = next(known for known in status.conditions or () if known.type == ConditionType.READY)
    at_rest = ready.reason in {Reason.SERVING, Reason.SUSPENDED, Reason.SCALED_TO_ZERO}
    return Next(Verdict.SETTLED if at_rest and not plan.writes else Verdict.UNSETTLED)
