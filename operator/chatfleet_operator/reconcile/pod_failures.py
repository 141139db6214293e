"""Why one pod does not start, from its status. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from chatfleet_operator.model.start_failure import Cause, StartFailure
from chatfleet_operator.model.values import Manifest
from chatfleet_operator.reconcile.last_words import last_words, sentence

IMAGE_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""Of the kubelet (pkg/kubelet/images/types.go)."""

NORMAL_REASONS: Final = frozenset({"ContainerCreating", "PodInitializing", "CrashLoopBackOff"})
"""Why a container waits without an error of its own; of a crash loop, the last termination has the error."""

FINISHED: Final = frozenset({"Succeeded", "Failed"})
"""Phases of pods that only wait to be garbage collected: evicted ones stay for long."""

KILLED_FOR_MEMORY: Final = "OOMKilled"

Status = dict[str, Any]
"""A part of a pod's status."""


def condition(live: Manifest, kind: str) -> Status:
    """Return a condition of an object; empty: it has none of this type."""
    found: Iterable[Status] = (live.get("status") or {}).get("conditions") or []
    return next((each for each in found if each.get("type") == kind), {})


def is_ready(pod: Manifest) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def pod_failure(pod: Manifest) -> StartFailure | None:
    """Return why a pod is not ready; None: it is, or is starting, or is going."""
    status: Status = pod.get("status") or {}
    if "deletionTimestamp" in pod["metadata"] or status.get("phase") in FINISHED or is_ready(pod):
        return None
    name = pod["metadata"]["name"]
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        words = scheduled.get("message") or scheduled.get("reason") or ""
        return StartFailure(Cause.UNSCHEDULABLE, f"Pod {name}: {sentence(words)}")
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    failures = (_container(name, each) for each in containers if not each.get("ready"))
    return next((failure for failure in failures if failure), None) or _unreported(pod)


def _container(pod: str, container: Status) -> StartFailure | None:
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason") or ""
    if reason and reason not in NORMAL_REASONS:
        cause = Cause.IMAGE if reason in IMAGE_REASONS else Cause.CONTAINER_NOT_CREATED
        return StartFailure(cause, f"Pod {pod}: {sentence(_joined(reason, waiting.get('message')))}")
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if not ended or (ended.get("exitCode") == 0 and reason != "CrashLoopBackOff"):
        return None
    return _ended(pod, container, ended)


def _ended(pod: str, container: Status, ended: Status) -> StartFailure:
    reason, code = ended.get("reason") or "Error", ended.get("exitCode")
    count = int(container.get("restartCount") or 0)
    restarts = f"{count} restart{'' if count == 1 else 's'}"
    words = last_words(str(ended.get("message") or ""))
    head = f"Pod {pod}: container {container.get('name')} ended with {reason}, exit code {code}, {restarts}"
    cause = Cause.OUT_OF_MEMORY if reason == KILLED_FOR_MEMORY else Cause.CRASH
    return StartFailure(cause, f"{head}: {words}" if words else f"{head}.")


def _unreported(pod: Manifest) -> StartFailure | None:
    """Return that the node is lost: its pods are then marked as not ready, with containers that are."""
    status: Status = pod.get("status") or {}
    ready = condition(pod, "Ready")
    if ready.get("reason") == "ReadinessGatesNotReady" or condition(pod, "ContainersReady").get("status") != "True":
        return None
    node = (pod.get("spec") or {}).get("nodeName", "")
    words = f"{status['message'].rstrip('.')}." if status.get("message") else "Its kubelet does not report."
    return StartFailure(Cause.NODE_LOST, f"Pod {pod['metadata']['name']} is on node {node}. {sentence(words)}")


def node_lost(pods: Iterable[Manifest]) -> Iterator[StartFailure]:
    """Yield the pods of a StatefulSet that were deleted since their node is lost, and that no other pod replaces."""
    for pod in pods:
        evicted = condition(pod, "DisruptionTarget")
        if "deletionTimestamp" in pod["metadata"] and evicted.get("reason") == "DeletionByTaintManager":
            node = (pod.get("spec") or {}).get("nodeName", "")
            words = sentence(str(evicted.get("message") or ""))
            yield StartFailure(Cause.NODE_LOST, f"Pod {pod['metadata']['name']} is on node {node}. {words}")


def _joined(reason: str, message: object) -> str:
    return f"{reason}: {message}" if message else reason
