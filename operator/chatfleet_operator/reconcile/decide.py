"""From the snapshot to a plan: pure, a value that can be printed and tested as a table.

A child is applied when it is absent, when its manifest has changed since it was last applied, or when others changed a
field that we set. What others added is removed where it is ours all the same (`model/put_back.py`). So nothing is
written at rest, drift is repaired, and the other fields of others stay as they are.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children import build
from chatfleet_operator.children.config import served_instructions, served_issuer
from chatfleet_operator.children.kinds import (
    AUTOSCALERS,
    CONFIG_MAP,
    PERSISTENT_VOLUME_CLAIM,
    PRUNABLE,
    WORKLOADS,
    list_keys,
)
from chatfleet_operator.children.prerequisites import prerequisites
from chatfleet_operator.children.redis import DISAGREES
from chatfleet_operator.children.restrictions import refused_fields
from chatfleet_operator.children.volume import must_be_replaced
from chatfleet_operator.model.compare import contains
from chatfleet_operator.model.defaults import Defaults
from chatfleet_operator.model.ownership import holds_replicas, is_ours
from chatfleet_operator.model.put_back import fields_to_remove
from chatfleet_operator.model.values import (
    Deletion,
    Desired,
    LiveState,
    Manifest,
    Notice,
    ObjectId,
    Observed,
    Plan,
    Removal,
    deployment_id,
    identify,
)
from chatfleet_operator.reconcile.deletion_cost import stale_costs

GENERATED_KEYS: Final = frozenset({names.REDIS_SECRET_PASSWORD, names.REDIS_SECRET_URL})


def decide(seen: Observed, defaults: Defaults) -> Plan:
    if seen.resource.spec is None:
        return Plan()
    plan = _plan(seen, seen.resource.spec, defaults)
    return _without_writes(plan) if seen.resource.paused else plan


def _without_writes(plan: Plan) -> Plan:
    """Return what `plan` states and not what it does, for an incident in which nothing of a human is to be undone."""
    deleted = (deletion.id for deletion in (*plan.delete_first, *plan.prune))
    changed = (*map(identify, (*plan.generate, *plan.apply)), *(removal.id for removal in plan.remove_fields))
    withheld = tuple(sorted({*deleted, *changed}))
    return Plan(
        desired=plan.desired,
        foreign=plan.foreign,
        blocked=plan.blocked,
        refused_fields=plan.refused_fields,
        withheld=withheld,
        edited=plan.drifted,
    )


def _plan(seen: Observed, spec: ChatDeploymentSpec, defaults: Defaults) -> Plan:
    wanted = _wanted(seen, spec, defaults)
    writable = [child for child in wanted.children if _may_write(seen, identify(child))]
    generate = tuple(child for child in writable if _needs_values(seen, child))
    foreign = tuple(sorted(key for key in map(identify, wanted.children) if _is_foreign(seen, key)))
    blocked = _blocked(writable, foreign) | _unlabelled(seen, writable, defaults)
    refused = refused_fields(spec) if defaults.restrictions.restrict_template else ()
    if generate:  # alone: what depends on the uid of a Secret can only be built once that is known
        return Plan(desired=wanted, generate=generate, foreign=foreign, blocked=blocked, refused_fields=refused)
    replaced = _replaced(seen, writable)
    allowed = [child for child in writable if identify(child) not in {*blocked, *(each.id for each in replaced)}]
    apply = tuple(child for child in allowed if _differs(seen, child))
    removals = tuple(removal for child in allowed if child not in apply and (removal := _removal(seen, child)))
    leftovers = _leftovers(seen, wanted)
    return Plan(
        desired=wanted,
        delete_first=tuple(deletion for deletion in leftovers if deletion.id.kind in AUTOSCALERS),
        hand_over_replicas=None if deployment_id(seen.resource.ref) in blocked else _handed_over(seen, wanted, spec),
        start=_start(seen, defaults),
        apply=apply,
        drifted=frozenset(identify(child) for child in apply if _is_drift(seen, child))
        | {removal.id for removal in removals},
        remove_fields=removals,
        prune=(
            *(deletion for deletion in leftovers if deletion.id.kind not in AUTOSCALERS),
            *_not_going(seen, replaced),
        ),
        refresh_config=_stale_pods(seen, wanted),
        refresh_secrets=_with_earlier_secrets(seen),
        deletion_costs=stale_costs(seen.pods) if _pods_may_go(seen, wanted) else {},
        retries=seen.retries,
        foreign=foreign,
        blocked=blocked,
        refused_fields=refused,
        notices=_notices(seen, leftovers),
    )


def _replaced(seen: Observed, writable: Sequence[Manifest]) -> tuple[Deletion, ...]:
    """Return the volume claims without a volume that can never become what is desired: they are created anew."""
    claims = [child for child in writable if child["kind"] == PERSISTENT_VOLUME_CLAIM.name]
    found = [(live, child) for child in claims if (live := seen.children.get(identify(child)))]
    return tuple(
        Deletion(identify(child), live["metadata"]["uid"], live["metadata"]["resourceVersion"])
        for live, child in found
        if must_be_replaced(live, child)
    )


def _not_going(seen: Observed, deletions: Sequence[Deletion]) -> Iterator[Deletion]:
    """Yield those that are not requested yet: a claim stays until no pod uses it."""
    yield from (each for each in deletions if "deletionTimestamp" not in seen.children[each.id]["metadata"])


def _blocked(writable: Sequence[Manifest], foreign: Sequence[ObjectId]) -> dict[ObjectId, ObjectId]:
    """Return the workloads whose pods would use a foreign object, each with the first such object."""
    used = {identify(child): prerequisites(child) & set(foreign) for child in writable if child["kind"] in WORKLOADS}
    return {key: min(theirs) for key, theirs in used.items() if theirs}


def _unlabelled(seen: Observed, writable: Sequence[Manifest], defaults: Defaults) -> dict[ObjectId, ObjectId]:
    """Return the workloads, if a Secret cannot be read, of which it is then unknown whether they may use it."""
    unread = sorted(key for key in seen.unreadable if key.kind == "Secret")
    if not unread or not defaults.restrictions.secrets_need_label:
        return {}
    return {identify(child): unread[0] for child in writable if child["kind"] in WORKLOADS}


def _wanted(seen: Observed, spec: ChatDeploymentSpec, defaults: Defaults) -> Desired:
    secret = _ours(seen, ObjectId("Secret", names.redis_name(seen.resource.ref.name)))
    live_state = LiveState(
        secret_uid=secret["metadata"]["uid"] if secret else "",
        deployed=_ours(seen, deployment_id(seen.resource.ref)) is not None,
        workloads={key: live for key in seen.children if key.kind in WORKLOADS and (live := _ours(seen, key))},
        volume=_ours(seen, ObjectId(PERSISTENT_VOLUME_CLAIM.name, names.redis_name(seen.resource.ref.name))),
        foreign_metrics=bool(seen.metrics_api and seen.metrics_api.foreign),
        refused_secrets=frozenset(use.name for use in seen.refused_secrets),
        token_issuer=seen.token_issuer or served_issuer(_ours(seen, _config_map(seen))),
        instructions={**served_instructions(_ours(seen, _config_map(seen))), **seen.instructions},
    )
    return build(seen.resource, spec, defaults, live=live_state)


def _config_map(seen: Observed) -> ObjectId:
    return ObjectId(CONFIG_MAP.name, names.config_name(seen.resource.ref.name))


def _ours(seen: Observed, key: ObjectId) -> Manifest | None:
    live = seen.children.get(key)
    return live if live and is_ours(live, seen.resource) else None


def _replicas(seen: Observed, wanted: Desired) -> int | None:
    """Return the number of pods that we set; None: an autoscaler sets it."""
    deployment = next(child for child in wanted.children if identify(child) == deployment_id(seen.resource.ref))
    replicas: int | None = deployment["spec"].get("replicas")
    return replicas


def _handed_over(seen: Observed, wanted: Desired, spec: ChatDeploymentSpec) -> Manifest | None:
    """Return the number of pods to keep while an autoscaler takes over: the current one, within its bounds."""
    live = _ours(seen, deployment_id(seen.resource.ref))
    if spec.autoscaling is None or live is None or _replicas(seen, wanted) is not None or not holds_replicas(live):
        return None
    most, fewest = spec.autoscaling.max_replicas, spec.autoscaling.min_replicas
    known = live["metadata"]
    # Only if there was no write since: it may have been the autoscaler's.
    head = {key: known[key] for key in ("name", "namespace", "resourceVersion")}
    spec_of_pods = {"replicas": max(fewest, min(most, int(live["spec"]["replicas"])))}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": head, "spec": spec_of_pods}


def _start(seen: Observed, defaults: Defaults) -> Manifest | None:
    """Return the Deployment of the metrics API server with pods, if it has none and is needed."""
    server, api = defaults.metrics_apiserver, seen.metrics_api
    if server is None or api is None or api.deployment is None or not api.stopped:
        return None
    # Only if there was no write since: the server may have been started.
    head = {"namespace": server.namespace, "name": server.name}
    head["resourceVersion"] = api.deployment["metadata"]["resourceVersion"]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": head, "spec": {"replicas": server.replicas}}


def _pods_may_go(seen: Observed, wanted: Desired) -> bool:
    """Whether pods may be removed soon: by an autoscaler at any time, by ourselves in this very plan."""
    live, replicas = _ours(seen, deployment_id(seen.resource.ref)), _replicas(seen, wanted)
    return live is not None and (replicas is None or 0 < replicas < int(live["spec"].get("replicas") or 0))


def _is_foreign(seen: Observed, key: ObjectId) -> bool:
    live = seen.children.get(key)
    return live is not None and not is_ours(live, seen.resource)


def _may_write(seen: Observed, key: ObjectId) -> bool:
    return key not in seen.unreadable and not _is_foreign(seen, key)


def _needs_values(seen: Observed, child: Manifest) -> bool:
    return child["kind"] == "Secret" and identify(child) not in seen.children


def _differs(seen: Observed, child: Manifest) -> bool:
    live = seen.children.get(identify(child))
    return live is None or not contains(live, child, list_keys(child["kind"]))


def _removal(seen: Observed, child: Manifest) -> Removal | None:
    """Return what others added to a child that holds all of ours; None: nothing that is put back."""
    live = seen.children[identify(child)]
    pointers = fields_to_remove(live, child)
    return Removal(identify(child), live["metadata"]["resourceVersion"], pointers) if pointers else None


def _is_drift(seen: Observed, child: Manifest) -> bool:
    """What was last applied is what we want now, so others have made the difference."""
    live = seen.children.get(identify(child))
    if live is None:
        return _served_before(seen)
    return _digest(live) == _digest(child)


def _served_before(seen: Observed) -> bool:
    """Whether this generation was reconciled before, so that an absent child was removed since."""
    return seen.resource.status.observed_generation == seen.resource.generation


def _digest(manifest: Manifest) -> str | None:
    annotations: dict[str, str] = manifest["metadata"].get("annotations") or {}
    return annotations.get(names.ANNOTATION_LAST_APPLIED_HASH)


def _leftovers(seen: Observed, wanted: Desired) -> tuple[Deletion, ...]:
    keep = {identify(child) for child in wanted.children}
    return tuple(
        Deletion(key, live["metadata"]["uid"])
        for key, live in sorted(seen.children.items())
        if is_ours(live, seen.resource)
        and "deletionTimestamp" not in live["metadata"]
        and (_lost_its_values(live) if key in keep else key.kind in PRUNABLE)
    )


def _lost_its_values(live: Manifest) -> bool:
    """A generated Secret that was emptied or edited is deleted, and then generated again."""
    data = live.get("data") or {}
    return live["kind"] == "Secret" and (not data.keys() >= GENERATED_KEYS or DISAGREES in data.values())


def _notices(seen: Observed, leftovers: Sequence[Deletion]) -> tuple[Notice, ...]:
    text = "{} has no password, or its URL and password disagree. It is generated anew, and Redis restarts."
    return tuple(
        Notice("PasswordRegenerated", text.format(deletion.id))
        for deletion in leftovers
        if seen.resource.spec and seen.resource.spec.redis.managed and _lost_its_values(seen.children[deletion.id])
    )


def _stale_pods(seen: Observed, wanted: Desired) -> tuple[str, ...]:
    """Return the pods that serve an older configuration and whose mount was not refreshed yet."""
    if _is_foreign(seen, ObjectId("ConfigMap", names.config_name(seen.resource.ref.name))):
        return ()
    digest = wanted.config.digest()
    return tuple(
        pod.name
        for pod in seen.pods
        if pod.report and digest not in {pod.report.config, pod.config_annotation} and not pod.terminating
    )


def _with_earlier_secrets(seen: Observed) -> dict[str, str]:
    """Return the pods that may have mounted their Secrets before the last write of one, with the digest of these.

    The kubelet would refresh the mount within a minute or more. A pod that is younger has mounted the newest ones.
    """
    digest, written = seen.mounted_secrets
    return {
        pod.name: digest
        for pod in seen.pods
        if written and pod.created <= written and pod.secrets_annotation != digest and not pod.terminating
    }
