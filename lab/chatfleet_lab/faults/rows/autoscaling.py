"""Autoscaling that cannot work: the real HorizontalPodAutoscaler; in KEDA's place the status is written by hand."""

from typing import Any, Final

import yaml

from chatfleet_contract import names
from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import Case, Fault
from chatfleet_lab.faults.rows.manifests import manifest
from chatfleet_lab.faults.steps import apply, delete, merge, spec, start, steps
from chatfleet_operator.model.values import Manifest
from harness.kube.node import ROOT
from harness.kube.reads import RefusedError, UnsupportedError
from harness.polling import eventually

DEFINITION: Final = yaml.safe_load((ROOT / "tests/cluster/operator/fixtures/keda-scaledobjects.yaml").read_text())
ACTIVE: Final = ConditionType.AUTOSCALING_ACTIVE
SCALED_OBJECT: Final = "scaledobject/support"
BUILTIN: Final = {"minReplicas": 1, "maxReplicas": 4, "metrics": [{"type": "ActiveStreams"}]}
CPU: Final = {**BUILTIN, "metrics": [{"type": "CPU", "averageUtilization": 70}]}
KEDA: Final = {**BUILTIN, "source": "keda", "keda": {"prometheusURL": "http://prometheus:9090"}}


def of_keda(kind: str, status: str, reason: str, message: str) -> Manifest:
    """Return what KEDA writes into the status of its object."""
    when = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    ready = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "ok", **when}
    one = {"type": kind, "status": status, "reason": reason, "message": message, **when}
    return {"status": {"conditions": [one] if kind == "Ready" else [ready, one]}}


def install_keda(case: Case) -> None:
    """Define KEDA's kind, without KEDA."""
    case.objects.apply(DEFINITION)
    eventually(lambda: _serves_keda(case), every=0.1)


def _serves_keda(case: Case) -> bool:
    try:
        case.objects.every("scaledobject")
    except (RefusedError, UnsupportedError):
        return False
    return True


WELL: Final = merge(SCALED_OBJECT, of_keda("Ready", "True", "ScaledObjectReady", "ok"), "status")


def by_keda(name: str, reason: Reason, status: Manifest, *words: str) -> Fault:
    """Return the row of what KEDA reports about its ScaledObject."""
    return Fault(
        name,
        merge(SCALED_OBJECT, status, "status"),
        WELL,
        ACTIVE,
        reason,
        words,
        spec={"autoscaling": KEDA},
        before=install_keda,
        settles=lambda case: case.objects.get(SCALED_OBJECT),
    )


def not_owned(what: Manifest, autoscaling: Any) -> Fault:  # noqa: ANN401  # JSON
    kind = what["kind"]
    return Fault(
        f"foreign {kind} support",
        start,
        delete(f"{kind}/support"),
        ACTIVE,
        Reason.REJECTED,
        (f"{kind} support", "is not owned by this ChatDeployment", f"delete the {kind}"),
        spec={"autoscaling": autoscaling},
        starts=True,
        before=steps(install_keda, apply(what)),
    )


TARGET: Final = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}
THEIR_HPA: Final = manifest(
    *("autoscaling/v2", "HorizontalPodAutoscaler", "support"), spec={"scaleTargetRef": TARGET, "maxReplicas": 3}
)
THEIR_SCALED_OBJECT: Final = manifest(
    *("keda.sh/v1alpha1", "ScaledObject", "support"),
    spec={"scaleTargetRef": {"name": "theirs"}, "triggers": [{"type": "cpu", "metadata": {"value": "50"}}]},
)


def api_service(namespace: str, **labels: str) -> Manifest:
    """Return the registration of a metrics API server."""
    made = manifest(
        *("apiregistration.k8s.io/v1", "APIService", names.METRICS_APIS[1]),
        spec={
            "group": names.METRICS_GROUP,
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": namespace, "name": "metrics"},
        },
    )
    return {**made, "metadata": {**made["metadata"], "labels": labels}}


SERVICE: Final = f"apiservice/{names.METRICS_APIS[1]}"
DEFINED: Final = f"customresourcedefinition/{DEFINITION['metadata']['name']}"

BY_AUTOSCALER: Final = (
    Fault(
        "no metrics API server",
        spec(autoscaling=BUILTIN),
        spec(),
        ACTIVE,
        Reason.METRICS_API_MISSING,
        ("No metrics API server serves custom.metrics.k8s.io", "FailedGetPodsMetric"),
    ),
    Fault(
        "no metrics of CPU",
        spec(autoscaling={**CPU, "source": "prometheus"}),
        spec(),
        ACTIVE,
        Reason.METRICS_UNAVAILABLE,
        ("Metrics are unavailable", "failed to get cpu utilization"),
    ),
    Fault(
        "Deployment scaled to 0 by hand under an autoscaler",
        merge("deployment/support", {"spec": {"replicas": 0}}, "scale"),
        merge("deployment/support", {"spec": {"replicas": 1}}, "scale"),
        ACTIVE,
        Reason.SCALING_FAILED,
        ("ScalingDisabled",),
        spec={"autoscaling": BUILTIN},
    ),
)
ROWS: Final = (
    *BY_AUTOSCALER,
    not_owned(THEIR_HPA, BUILTIN),
    not_owned(THEIR_SCALED_OBJECT, KEDA),
    by_keda(
        "trigger that KEDA cannot read",
        Reason.METRICS_UNAVAILABLE,
        of_keda("Ready", "False", "TriggerError", "no value"),
        *("Metrics are unavailable", "no value"),
    ),
    by_keda(
        "ScaledObject that KEDA rejects",
        Reason.SCALING_FAILED,
        of_keda("Ready", "False", "ScaledObjectCheckFailed", "scaleTargetRef does not exist"),
        "scaleTargetRef does not exist",
    ),
    by_keda(
        "ScaledObject that is paused",
        Reason.SCALING_FAILED,
        of_keda("Paused", "True", "ScaledObjectPaused", "ScaledObject is paused"),
        "ScaledObject is paused",
    ),
    Fault(
        "foreign metrics API server",
        apply(api_service("monitoring", app="prometheus-adapter")),
        delete(SERVICE),
        ACTIVE,
        Reason.METRICS_API_CONFLICT,
        ("monitoring/metrics serves custom.metrics.k8s.io", "Set autoscaling.source"),
        spec={"autoscaling": BUILTIN},
        alone=True,
    ),
    Fault(
        "metrics API server that is gone",
        apply(api_service("chatfleet-system", **{names.LABEL_MANAGED_BY: names.MANAGED_BY})),
        delete(SERVICE),
        ACTIVE,
        Reason.METRICS_UNAVAILABLE,
        ("The metrics API server is unavailable", "ServiceNotFound"),
        spec={"autoscaling": BUILTIN},
        alone=True,
    ),
    Fault(
        "KEDA that is not installed",
        steps(delete(DEFINED), spec(autoscaling=KEDA)),
        install_keda,
        ACTIVE,
        Reason.KEDA_NOT_INSTALLED,
        ("The cluster has no kind ScaledObject", "Install KEDA"),
        alone=True,
    ),
)
