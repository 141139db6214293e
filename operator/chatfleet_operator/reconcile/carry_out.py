"""Carry out a plan, in order. What is refused is noted and the rest goes on; a transient failure ends it."""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

from chatfleet_contract import names
from chatfleet_operator.model.errors import Refusal, Refused, Retry
from chatfleet_operator.model.ports import Cluster
from chatfleet_operator.model.values import Manifest, ObjectId, Observed, Outcome, Plan, Timestamp, identify

Step: TypeAlias = tuple[ObjectId, Callable[[], Coroutine[Any, Any, Manifest | None]]]
"""One write, and its object."""


async def carry_out(seen: Observed, plan: Plan, cluster: Cluster, now: Timestamp) -> Outcome:
    applied: dict[ObjectId, Manifest] = {}
    refused: dict[ObjectId, Refusal] = {}

    async def write(steps: Iterable[Step]) -> None:
        for key, step in steps:
            if key in refused:  # applied without its replicas handed over, a Deployment would lose them
                continue
            try:
                live = await step()
            except Refused as error:
                refused[key] = error.refusal
            else:
                applied.update({key: live} if live else {})

    try:
        await write(_steps(seen, plan, cluster, now))
        if ObjectId("ConfigMap", names.config_name(seen.resource.ref.name)) not in refused:
            await write(_config_refreshes(seen, plan, cluster))
    except Retry as error:
        return Outcome(applied, refused, unfinished=str(error), retry_after=error.after)
    return Outcome(applied, refused)


def _steps(seen: Observed, plan: Plan, cluster: Cluster, now: Timestamp) -> Iterator[Step]:
    namespace = seen.resource.ref.namespace
    for manifest in plan.generate:
        yield identify(manifest), partial(cluster.generate, manifest)
    for deletion in plan.delete_first:
        yield deletion.id, partial(cluster.delete, namespace, deletion)
    for pod, cost in plan.deletion_costs.items():  # before replicas are reduced
        yield ObjectId("Pod", pod), partial(cluster.set_deletion_cost, namespace, pod, cost, now)
    if plan.hand_over_replicas:
        yield identify(plan.hand_over_replicas), partial(cluster.hand_over_replicas, plan.hand_over_replicas)
    for manifest in plan.apply:
        yield identify(manifest), partial(cluster.apply, manifest, _uid(seen, identify(manifest)))
    for removal in plan.remove_fields:
        yield removal.id, partial(cluster.remove_fields, namespace, removal)
    for deletion in plan.prune:
        yield deletion.id, partial(cluster.delete, namespace, deletion)
    yield from _of_others(seen, plan, cluster, now)


def _of_others(seen: Observed, plan: Plan, cluster: Cluster, now: Timestamp) -> Iterator[Step]:
    """Yield the writes to objects that no ChatDeployment owns, or whose controller has to act on them."""
    namespace = seen.resource.ref.namespace
    if plan.start:
        yield identify(plan.start), partial(cluster.start, plan.start)
    for pod, digest in plan.refresh_secrets.items():
        yield ObjectId("Pod", pod), partial(cluster.refresh_secrets, namespace, pod, digest)
    for key in plan.retries:
        yield key, partial(cluster.retry, namespace, key, now)


def _config_refreshes(seen: Observed, plan: Plan, cluster: Cluster) -> Iterator[Step]:
    digest = plan.desired.config.digest() if plan.desired else ""
    for pod in plan.refresh_config:
        yield ObjectId("Pod", pod), partial(cluster.refresh_config, seen.resource.ref.namespace, pod, digest)


def _uid(seen: Observed, key: ObjectId) -> str | None:
    live = seen.children.get(key)
    return live["metadata"]["uid"] if live else None
