"""The operator and the metrics API server themselves: killed, two at a time, without a right, with old certificates."""

from datetime import timedelta
from typing import Any, Final

from chatfleet_contract import names
from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import Case, Fault, Step
from chatfleet_lab.faults.rows.autoscaling import BUILTIN
from chatfleet_lab.faults.rows.configuration import keyed
from chatfleet_lab.faults.rows.manifests import secret
from chatfleet_lab.faults.steps import CHATDEPLOYMENT, annotate, apply, delete, spec
from harness.kube.metrics_apiserver_process import SERVICES
from harness.kube.operator_process import ACCOUNT, NAMESPACE

EXPIRED: Final = timedelta(days=-100)
"""A certificate that was issued so long ago is no longer valid."""
QUIET_SECONDS: Final = 60.0
"""A conflict is over when the object was not changed for 30 s and twice the delay of the repairs."""
NEWEST: Final = {names.ANNOTATION_TEMPLATE_REVISION: names.REVISION_LATEST}


def kill(case: Case) -> None:
    """Kill the operator, delete a Secret meanwhile, and let the container restart."""
    case.tools.kill_operator()
    case.objects.delete("secret/keys")
    case.tools.start_operator()


def start_other(case: Case) -> None:
    """Start an operator of another release that serves the same namespace."""
    case.taken = case.tools.start_other_operator(case.namespace)


def stop_other(case: Case) -> None:
    """End it."""
    case.taken.stop()


def start_with_expired_certificate(case: Case) -> None:
    """Start a metrics API server that takes its certificate for valid, as its clock is wrong."""
    case.tools.start_metrics_apiserver(EXPIRED)


def start_with_valid_certificate(case: Case) -> None:
    """Start one whose clock is right: it renews the certificate."""
    case.tools.start_metrics_apiserver()


def stop_metrics_apiserver(case: Case) -> None:
    """End it, and remove its registration."""
    case.tools.stop_metrics_apiserver()
    for service in SERVICES:
        case.objects.delete(f"apiservice/{service}")


def is_unavailable(case: Case) -> bool:
    """Return whether the API server has found the certificate wanting."""
    live = case.objects.get(f"apiservice/{SERVICES[0]}") or {}
    conditions = live.get("status", {}).get("conditions", [])
    return any("expired" in each.get("message", "") for each in conditions)


def without_verb(verb: str, resource: str, change: Step) -> Step:
    """Return the step that takes one verb from the operator, and changes what needs it."""

    def take(case: Case) -> None:
        role = case.objects.get(f"clusterrole/{ACCOUNT}") or {}
        case.taken = role["rules"]
        kept = [
            {**rule, "verbs": [each for each in rule["verbs"] if (each, rule["resources"]) != (verb, [resource])]}
            for rule in role["rules"]
        ]
        case.objects.merge(f"clusterrole/{ACCOUNT}", {"rules": kept})
        change(case)

    return take


def restore(case: Case) -> None:
    """Give the operator its rights back."""
    case.objects.merge(f"clusterrole/{ACCOUNT}", {"rules": case.taken})


def right(verb: str, resource: str, change: Step, *words: str, **rest: Any) -> Fault:  # noqa: ANN401  # fields
    """Return the row of an operator that lacks one verb."""
    condition = {"condition": ConditionType.CONFIGURATION_VALID, "reason": Reason.CHILD_REJECTED, **rest}
    return Fault(
        f"operator that may not {verb} {resource}",
        without_verb(verb, resource, change),
        restore,
        words=(*words, f"cannot {verb} resource"),
        after=restore,
        alone=True,
        **condition,
    )


SHORT: Final = (
    Fault(
        "operator that is killed, and a Secret that is deleted meanwhile",
        kill,
        apply(secret("keys", openai="sk-x")),
        ConditionType.CONFIGURATION_VALID,
        Reason.SECRET_MISSING,
        ("Secret keys", "key openai"),
        objects=(secret("keys", openai="sk-x"),),
        spec=keyed("keys", "openai"),
        alone=True,
    ),
    right(
        *("delete", "horizontalpodautoscalers", spec(), "HorizontalPodAutoscaler support"),
        before=spec(autoscaling=BUILTIN),
        condition=ConditionType.AUTOSCALING_ACTIVE,
        reason=Reason.REJECTED,
        settles=lambda case: case.objects.get("horizontalpodautoscaler/support"),
    ),
)
"""Those that take few seconds."""

ROWS: Final = (
    *SHORT,
    Fault(
        "two operators of one namespace",
        start_other,
        stop_other,
        ConditionType.PROGRESSING,
        Reason.CONFLICT,
        ("Deployment support", f"operators of namespaces {NAMESPACE} and team-a", "denyNamespaces"),
        before=annotate(CHATDEPLOYMENT, **NEWEST),
        alone=True,
        patience=QUIET_SECONDS,
    ),
    right(
        *("patch", "deployments", spec(template={"env": [{"name": "A"}]})),
        "Deployment support",
    ),
    right("create", "configmaps", delete("configmap/support-runtime"), "ConfigMap support-runtime"),
    right("create", "services", delete("service/support"), "Service support"),
    Fault(
        "metrics API server with an expired certificate",
        spec(autoscaling=BUILTIN),
        start_with_valid_certificate,
        ConditionType.AUTOSCALING_ACTIVE,
        Reason.METRICS_UNAVAILABLE,
        ("The metrics API server is unavailable", "certificate has expired"),
        before=start_with_expired_certificate,
        settles=is_unavailable,
        after=stop_metrics_apiserver,
        alone=True,
    ),
)
