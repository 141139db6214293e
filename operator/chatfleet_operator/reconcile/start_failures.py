"""Why pods do not start, from the status that Kubernetes' controllers, scheduler and kubelets write. Pure.

Most causes are in the pods and Deployments that a reconciliation reads anyway. Of a StatefulSet, a volume claim and a
mount the cause is only in Events: `silent` names the few objects whose Events are worth a read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chatfleet_contract import names
from chatfleet_operator.children.kinds import list_keys
from chatfleet_operator.model.compare import contains
from chatfleet_operator.model.moments import seconds_between
from chatfleet_operator.model.start_failure import Cause, StartFailure
from chatfleet_operator.model.values import Manifest, ObjectId, Timestamp, identify
from chatfleet_operator.reconcile.last_words import sentence
from chatfleet_operator.reconcile.pod_failures import condition, is_ready, node_lost, pod_failure

SETTLING_SECONDS: Final = 2.0
"""What lasts no longer is part of a normal start: a volume is bound, a pod is scheduled."""

RETRY_SECONDS: Final = 6.0
"""Between two retries that we cause: after an event, the work queue reconciles at 1, 3 and 7 s."""

RETRY_SHARE: Final = 60.0
"""The interval grows with the time since the failure began, to this part of it: a minute after an hour."""

COMPONENTS: Final = (names.COMPONENT_API, names.COMPONENT_REDIS, names.COMPONENT_ACTIVATOR)


@dataclass(frozen=True, slots=True)
class Started:
    """What was started for a ChatDeployment: its own objects and their pods, as they are at `now`."""

    children: Mapping[ObjectId, Manifest]
    pods: Sequence[Manifest]
    now: Timestamp

    def of(self, component: str) -> list[Manifest]:
        """Return the pods of a component, the newest first."""
        own = [pod for pod in self.pods if component_of(pod) == component]
        return sorted(own, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)

    def of_kind(self, kind: str, component: str) -> Iterator[Manifest]:
        for key, live in self.children.items():
            if key.kind == kind and component_of(live) == component:
                yield live

    def age(self, since: object) -> float:
        """Return the seconds since a time; unreadable is infinitely long ago."""
        return seconds_between(since, self.now)

    def has_settled(self, since: object) -> bool:
        """Whether the time `since` is longer ago than a normal start takes."""
        return self.age(since) >= SETTLING_SECONDS


def _identify(live: Manifest) -> ObjectId:
    """Return the identity of an object; a pod of a list has no kind in it."""
    return identify({"kind": "Pod", **live})


def component_of(live: Manifest) -> str:
    return str((live["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT, ""))


def silent(started: Started) -> dict[ObjectId, str]:
    """Return the objects that wait for something that only an Event names, with their uid."""
    waiting: list[Manifest] = []
    for component in COMPONENTS:
        pods = started.of(component)
        waiting += _unbound(started, component)
        if not pods:
            waiting += started.of_kind("StatefulSet", component)
        waiting += [pod for pod in pods if _is_creating(pod)][:1]
    waiting += filter(_awaits_load_balancer, started.of_kind("Service", names.COMPONENT_API))
    late = (live for live in waiting if started.has_settled(live["metadata"].get("creationTimestamp")))
    return {_identify(live): str(live["metadata"]["uid"]) for live in late}


def start_failures(started: Started, events: Mapping[ObjectId, str]) -> tuple[StartFailure, ...]:
    """Return one failure of each cause, the first one first; `events`: what was read about `silent` objects."""
    found: dict[Cause, StartFailure] = {}
    for component in COMPONENTS:
        for failure in _component(started, component, events):
            found.setdefault(failure.cause, failure)
    return tuple(found.values())


def retries(started: Started, events: Mapping[ObjectId, str]) -> tuple[ObjectId, ...]:
    """Return the objects whose controllers should retry now.

    By themselves they retry after about as long as they have failed, up to 17 min: any change of the object is sooner.
    """
    due: list[ObjectId] = []
    for key, live in started.children.items():
        failed, since = False, None
        if key.kind == "Deployment":
            since = condition(live, "ReplicaFailure").get("lastTransitionTime")
            failed = condition(live, "ReplicaFailure").get("status") == "True"
        elif key.kind in {"StatefulSet", "PersistentVolumeClaim"}:
            since = live["metadata"].get("creationTimestamp") if key.kind == "PersistentVolumeClaim" else None
            failed = key in events
        if failed and _is_retry_due(started, live, since):
            due.append(key)
    for pod in started.pods:
        failure, since = pod_failure(pod), condition(pod, "PodScheduled").get("lastTransitionTime")
        if failure and failure.cause is Cause.CONTAINER_NOT_CREATED and _is_retry_due(started, pod, since):
            due.append(_identify(pod))
    return tuple(due)


def _is_retry_due(started: Started, live: Manifest, since: object) -> bool:
    last = (live["metadata"].get("annotations") or {}).get(names.ANNOTATION_RETRY_TIME) or since
    longest = max(RETRY_SECONDS, started.age(since) / RETRY_SHARE if since else 0.0)
    return started.age(last) >= longest


def _component(started: Started, component: str, events: Mapping[ObjectId, str]) -> Iterator[StartFailure]:
    for claim in started.of_kind("PersistentVolumeClaim", component):
        yield from _volume_failure(claim, events)
    for workload in started.of_kind("Deployment", component):
        yield from _not_created(started, workload)
    pods = started.of(component)
    for workload in started.of_kind("StatefulSet", component):
        key = identify(workload)
        if not pods and key in events:
            yield StartFailure(Cause.NOT_CREATED, f"{key}: {sentence(events[key])}")
        yield from node_lost(pods)
    for pod in _of_current_template(pods, list(started.of_kind("Deployment", component))):
        yield from _pod(started, pod, events)


def _of_current_template(pods: Sequence[Manifest], deployments: Sequence[Manifest]) -> Sequence[Manifest]:
    """Return the pods that a Deployment has made of its current template; all, if none is recognized.

    Pods of an earlier template go once the others are ready, so why they fail is no longer a cause. Where admission
    changes what a template sets, no pod is recognized.
    """
    templates = [live.get("spec", {}).get("template", {}).get("spec") for live in deployments]
    wanted = [each for each in templates if each]
    keys = list_keys("Deployment")
    holding = [pod for pod in pods if any(contains(pod.get("spec"), each, keys) for each in wanted)]
    return [pod for pod in holding if any(_adds_nothing(pod["spec"], each) for each in wanted)] or holding or pods


def _adds_nothing(pod: Manifest, template: Manifest) -> bool:
    """Return whether our containers have no variables and no resources beyond those of the template."""
    keys, found = list_keys("Deployment"), {each["name"]: each for each in pod["containers"]}
    return all(
        contains(each.get(part), found[each["name"]].get(part), keys, parent=part)
        for each in template["containers"]
        for part in ("env", "resources")
    )


def _pod(started: Started, pod: Manifest, events: Mapping[ObjectId, str]) -> Iterator[StartFailure]:
    failure = pod_failure(pod)
    if failure and failure.cause is Cause.UNSCHEDULABLE:
        since = condition(pod, "PodScheduled").get("lastTransitionTime")
        failure = failure if started.has_settled(since) else None
    key = _identify(pod)
    if key in events and _is_creating(pod):
        failure = StartFailure(Cause.CONTAINER_NOT_CREATED, f"{key}: {sentence(events[key])}")
    if failure:
        yield failure


def _awaits_load_balancer(service: Manifest) -> bool:
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    return service["spec"].get("type") == "LoadBalancer" and not balancer.get("ingress")


def _unbound(started: Started, component: str) -> Iterable[Manifest]:
    return (
        claim
        for claim in started.of_kind("PersistentVolumeClaim", component)
        if (claim.get("status") or {}).get("phase") == "Pending"
    )


def _volume_failure(claim: Manifest, events: Mapping[ObjectId, str]) -> Iterator[StartFailure]:
    key, phase = identify(claim), (claim.get("status") or {}).get("phase")
    if "deletionTimestamp" in claim["metadata"]:
        yield StartFailure(Cause.VOLUME, f"{key} is being deleted: its volume goes when the pod of Redis ends.")
    elif phase == "Lost":
        yield StartFailure(Cause.VOLUME, f"{key} is Lost: its PersistentVolume does not exist.")
    elif phase == "Pending" and key in events:
        yield StartFailure(Cause.VOLUME, f"{key} is Pending: {sentence(events[key])}")


def _not_created(started: Started, deployment: Manifest) -> Iterator[StartFailure]:
    """Yield why the ReplicaSet cannot create pods; the Deployment has it from there."""
    failed = condition(deployment, "ReplicaFailure")
    if failed.get("status") == "True" and started.has_settled(failed.get("lastTransitionTime")):
        yield StartFailure(
            Cause.NOT_CREATED,
            f"{identify(deployment)}: {sentence(str(failed.get('message') or failed.get('reason') or ''))}",
        )


def _is_creating(pod: Manifest) -> bool:
    """Whether a pod is on its node, and none of its containers has been created, for a reason it does not have."""
    if (
        "deletionTimestamp" in pod["metadata"]
        or is_ready(pod)
        or condition(pod, "PodScheduled").get("status") != "True"
    ):
        return False
    containers = (pod.get("status") or {}).get("containerStatuses") or []
    created = any("waiting" not in (each.get("state") or {}) or each.get("lastState") for each in containers)
    return not created and pod_failure(pod) is None
