"""Pods and volumes that the API server and the controllers do not admit or bind. No kubelet is needed."""

from collections.abc import Mapping
from typing import Any, Final

from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import MANAGED, Case, Fault
from chatfleet_lab.faults.rows.manifests import limit_range, manifest, quota, storage_class, webhook
from chatfleet_lab.faults.steps import allow, apply, delete, deny, is_denied, merge, start, steps
from chatfleet_operator.model.values import Manifest

PROGRESSING: Final = ConditionType.PROGRESSING
CLAIM: Final = "persistentvolumeclaim/support-redis"
HELD: Final = {"metadata": {"finalizers": ["example.com/hold"]}}
RELEASED: Final = {"metadata": {"finalizers": None}}


def with_resources(**of_container: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a spec of one pod with requests and limits."""
    return {"replicas": 1, "template": {"resources": of_container}}


def not_created(
    name: str, obstacle: Manifest, *words: str, spec: Mapping[str, Any] | None = None, lasts: float = 0
) -> Fault:
    """Return the row of an object that keeps pods from being created, and whose deletion heals."""
    what = f"{obstacle['kind']}/{obstacle['metadata']['name']}"
    return Fault(
        name,
        start,
        delete(what),
        PROGRESSING,
        Reason.FAILED_CREATE,
        words,
        in_ready="replicas" in (spec or {"replicas": 1}),
        spec=spec or {"replicas": 1},
        objects=(obstacle,),
        starts=True,
        lasts=lasts,
    )


POD: Final = manifest("v1", "Pod", "probe", spec={"containers": [{"name": "it", "image": "none"}]})


def webhook_missing(case: Case) -> None:
    case.objects.apply(webhook(case.namespace, "", "pods"))


def webhook_removed(case: Case) -> None:
    case.objects.delete(f"validatingwebhookconfiguration/{case.namespace}")


def bind(case: Case) -> None:
    """Create a volume for the claim, as an administrator does, and wait for nothing: the controller binds it."""
    claim = case.objects.get(CLAIM) or {}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": claim["spec"]["storageClassName"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": "/nowhere"},
        "claimRef": {
            "kind": "PersistentVolumeClaim",
            "namespace": case.namespace,
            "name": "support-redis",
            "uid": claim["metadata"]["uid"],
        },
    }
    case.objects.apply(manifest("v1", "PersistentVolume", case.namespace, spec=spec))


def lose(case: Case) -> None:
    """Delete the volume of the claim, in spite of its protection."""
    volume = f"persistentvolume/{case.namespace}"
    case.objects.delete(volume)
    case.objects.merge(volume, RELEASED)


PRIORITY: Final = manifest("scheduling.k8s.io/v1", "PriorityClass", "vital", value=1000)
SMALL: Final = {"cpu": "100m", "memory": "64Mi"}

ROWS: Final = (
    not_created("quota on pods", quota(pods="0"), "Deployment support", "exceeded quota: small", lasts=22),
    not_created(
        "quota on requests",
        quota(requests_cpu="60m"),
        *("exceeded quota: small", "requests.cpu=100m"),
        spec=with_resources(requests=SMALL),
    ),
    not_created(
        "quota that requires limits", quota(limits_memory="1Gi"), "failed quota: small", "must specify limits.memory"
    ),
    not_created(
        "minimum of a LimitRange",
        limit_range(min="1Gi"),
        "minimum memory usage per Container is 1Gi",
        spec=with_resources(requests=SMALL),
    ),
    not_created(
        "maximum of a LimitRange",
        limit_range(max="96Mi"),
        "maximum memory usage per Container is 96Mi",
        spec=with_resources(requests=SMALL, limits={"memory": "128Mi"}),
    ),
    not_created(
        "quota on the pod of the managed Redis",
        quota(pods="0"),
        *("StatefulSet support-redis", "exceeded quota: small"),
        spec=MANAGED,
    ),
    Fault(
        "PriorityClass that does not exist",
        start,
        apply(PRIORITY),
        PROGRESSING,
        Reason.FAILED_CREATE,
        ("no PriorityClass with name vital was found",),
        spec={"replicas": 1, "template": {"priorityClassName": "vital"}},
        starts=True,
        after=delete("priorityclass/vital"),
    ),
    Fault(
        "policy that denies pods",
        merge("chatdeployment/support", {"spec": {"replicas": 1}}),
        allow,
        PROGRESSING,
        Reason.FAILED_CREATE,
        ("no pods here",),
        before=deny("", "pods"),
        settles=lambda case: is_denied(case, POD),
        after=allow,
    ),
    Fault(
        "admission webhook of pods that does not respond",
        steps(webhook_missing, start),
        webhook_removed,
        PROGRESSING,
        Reason.FAILED_CREATE,
        ("failed calling webhook", "guard.example.com"),
        spec={"replicas": 1},
        starts=True,
        after=webhook_removed,
    ),
    Fault(
        "StorageClass that does not exist",
        start,
        apply(storage_class("fast")),
        PROGRESSING,
        Reason.VOLUME_UNAVAILABLE,
        ("PersistentVolumeClaim support-redis", 'storageclass.storage.k8s.io "fast" not found'),
        spec={"redis": {"managed": {"storageClassName": "fast"}}},
        starts=True,
        after=delete("storageclass/fast"),
    ),
    Fault(
        "volume claim that is being deleted",
        steps(merge(CLAIM, HELD), delete(CLAIM)),
        merge(CLAIM, RELEASED),
        PROGRESSING,
        Reason.VOLUME_UNAVAILABLE,
        ("PersistentVolumeClaim support-redis is being deleted",),
        spec=MANAGED,
    ),
    Fault(
        "volume of a claim that is lost",
        lose,
        bind,
        PROGRESSING,
        Reason.VOLUME_UNAVAILABLE,
        ("PersistentVolumeClaim support-redis is Lost",),
        spec=MANAGED,
        before=bind,
        settles=lambda case: ((case.objects.get(CLAIM) or {}).get("status") or {}).get("phase") == "Bound",
    ),
)
