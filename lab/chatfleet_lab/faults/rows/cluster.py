"""Parts of the cluster and of the release that end, or do not respond."""

from typing import Final

from chatfleet_contract import names
from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import Case, Fault, Needs, Step
from chatfleet_lab.faults.rows.manifests import secret
from chatfleet_lab.faults.steps import apply, start, steps
from chatfleet_operator.kube.lease import LEASE_NAME
from harness.kube.helm import NAMESPACE as SYSTEM

WANTED: Final = {"name": "up", "type": "openai", "apiKeySecretRef": {"name": "keys", "key": "openai"}}
SCRIPTED: Final = {"name": "scripted", "type": "scripted"}
NODE_LOST_SECONDS: Final = 90.0
"""Kubernetes takes 50 s to mark a node as lost."""


def delete_leader(case: Case) -> None:
    """Delete the pod of the leading operator, and with it a Secret that nothing announces."""
    system = case.objects.within(SYSTEM)
    lease = system.get(f"lease/{LEASE_NAME}") or {}
    system.delete(f"pod/{lease['spec']['holderIdentity'].partition('_')[0]}", grace_seconds=0)
    case.objects.delete("secret/keys")


def scale_metrics_server(replicas: int) -> Step:
    """Return the step that sets the number of metrics API servers."""
    body = {"spec": {"replicas": replicas}}
    return lambda case: case.objects.within(SYSTEM).merge(f"deployment/{names.METRICS_APISERVER}", body, "scale")


def pause(component: str) -> Step:
    """Return the step that stops a process of the node."""
    return lambda case: case.tools.pause(component)


def resume(case: Case) -> None:
    """Let the process go on."""
    case.tools.resume()


ROWS: Final = (
    Fault(
        "leader of the operator that is deleted, and a Secret with it",
        delete_leader,
        apply(secret("keys", openai="sk-x")),
        ConditionType.CONFIGURATION_VALID,
        Reason.SECRET_MISSING,
        ("Secret keys", "key openai"),
        spec={"providers": [SCRIPTED, WANTED]},
        objects=(secret("keys", openai="sk-x"),),
        needs=Needs.PODS,
        alone=True,
    ),
    Fault(
        "metrics API server without a pod",
        scale_metrics_server(0),
        scale_metrics_server(1),
        ConditionType.AUTOSCALING_ACTIVE,
        Reason.METRICS_UNAVAILABLE,
        ("no pod is removed",),
        spec={"autoscaling": {"minReplicas": 1, "maxReplicas": 2}},
        settles=lambda case: case.is_scaling(),
        after=scale_metrics_server(2),
        needs=Needs.SERVING,
        alone=True,
    ),
    Fault(
        "kube-proxy that does not respond",
        steps(pause("kube-proxy"), start),
        resume,
        ConditionType.READY,
        Reason.REQUEST_FAILED,
        ("GET /v1/models through Service support failed",),
        starts=True,
        after=resume,
        needs=Needs.PODS,
        alone=True,
    ),
    Fault(
        "kubelet that does not respond",
        pause("kubelet"),
        resume,
        ConditionType.PROGRESSING,
        Reason.NODE_LOST,
        ("is on node",),
        after=resume,
        needs=Needs.SERVING,
        alone=True,
        patience=NODE_LOST_SECONDS,
    ),
)
