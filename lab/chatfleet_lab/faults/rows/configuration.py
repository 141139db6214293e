"""What keeps the operator from a spec's children: Secrets, objects of others, rejections, rights."""

from collections.abc import Mapping
from typing import Any, Final

from chatfleet_contract import names
from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import MANAGED, OWN_REDIS, Case, Fault
from chatfleet_lab.faults.rows.manifests import manifest, quota, secret, webhook
from chatfleet_lab.faults.steps import allow, apply, delete, deny, is_denied, merge, spec, start
from chatfleet_operator.model.values import Manifest
from harness.kube.operator_process import ACCOUNT
from harness.kube.reads import RefusedError
from harness.polling import eventually

VALID: Final = ConditionType.CONFIGURATION_VALID
KEYED: Final = {
    "providers": [{"name": "scripted", "type": "scripted"}, {"name": "up", "type": "openai"}],
    "models": [{"name": "default", "provider": "scripted", "model": "script"}],
}


def keyed(name: str, key: str) -> Mapping[str, Any]:
    """Return a spec with a provider whose API key is in a Secret."""
    up = {"name": "up", "type": "openai", "apiKeySecretRef": {"name": name, "key": key}}
    return {**KEYED, "providers": [KEYED["providers"][0], up]}


def missing(name: str, inject: Any, heal: Any, *words: str, **rest: Any) -> Fault:  # noqa: ANN401  # steps
    return Fault(name, inject, heal, VALID, Reason.SECRET_MISSING, words, **rest)


SECRETS: Final = (
    missing(
        "Secret of an API key that does not exist",
        spec(**keyed("keys", "openai")),
        apply(secret("keys", openai="sk-x")),
        *("Secret keys", "key openai"),
    ),
    missing(
        "key that is missing in the Secret of an API key",
        spec(**keyed("keys", "openai")),
        apply(secret("keys", openai="sk-x")),
        *("Secret keys", "key openai"),
        objects=(secret("keys", other="sk-y"),),
    ),
    missing(
        "Secret of an API key that is deleted",
        delete("secret/keys"),
        apply(secret("keys", openai="sk-x")),
        *("Secret keys", "key openai"),
        objects=(secret("keys", openai="sk-x"),),
        spec=keyed("keys", "openai"),
    ),
    missing(
        "Secret of the URL of Redis that does not exist",
        start,
        apply(secret("late", url="redis://x")),
        *("Secret late", "key url"),
        spec={"redis": {"urlSecretRef": {"name": "late", "key": "url"}}},
        starts=True,
    ),
    missing(
        "key that is removed from the Secret of the URL of Redis",
        merge("secret/own", {"data": {"url": None}}),
        apply(secret("own", url=OWN_REDIS)),
        *("Secret own", "key url"),
    ),
)


def theirs(kind: str, api: str = "v1", name: str = "support", **content: Any) -> Manifest:  # noqa: ANN401  # JSON
    """Return an object that others made under the name of one of our children."""
    return manifest(api, kind, name, **content)


def not_owned(
    what: Manifest,
    *words: str,
    spec: Mapping[str, Any] | None = None,
    heal: Any = None,  # noqa: ANN401  # a step
) -> Fault:
    """Return the row of a foreign object in the place of a child; its deletion heals."""
    kind, name = what["kind"], what["metadata"]["name"]
    return Fault(
        f"foreign {kind} {name}",
        start,
        heal or delete(f"{kind}/{name}"),
        VALID,
        Reason.NOT_OWNED,
        (f"{kind} {name}", "is not owned by this ChatDeployment", f"delete the {kind}", *words),
        spec=spec or {},
        objects=(what,),
        starts=True,
    )


LABELS: Final = {"app": "theirs"}
PODS: Final = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "it", "image": "theirs"}]}}
CLAIM_SPEC: Final = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
RELEASED: Final = {"metadata": {"finalizers": None}}
DEPLOYMENT: Final = "Deployment support is not applied"
REDIS: Final = "StatefulSet support-redis"
PORT: Final = {"ports": [{"port": 6379}]}

FOREIGN: Final = (
    not_owned(theirs("Service", spec={"ports": [{"port": 80}]})),
    not_owned(
        theirs("Deployment", "apps/v1", spec={"replicas": 0, "selector": {"matchLabels": LABELS}, "template": PODS})
    ),
    not_owned(theirs("ServiceAccount"), DEPLOYMENT),
    not_owned(theirs("ConfigMap", name="support-runtime", data={names.CONFIG_KEY: "{}"}), DEPLOYMENT),
    not_owned(theirs("PodDisruptionBudget", "policy/v1", spec={"selector": {"matchLabels": LABELS}})),
    not_owned(theirs("Secret", name="support-redis", stringData={"url": "redis://theirs"}), REDIS, spec=MANAGED),
    not_owned(theirs("Service", name="support-redis", spec=PORT), REDIS, spec=MANAGED),
    not_owned(
        theirs("PersistentVolumeClaim", name="support-redis", spec=CLAIM_SPEC), f"{REDIS} is not applied", spec=MANAGED
    ),
    not_owned(
        theirs(
            *("StatefulSet", "apps/v1", "support-redis"),
            spec={"replicas": 0, "selector": {"matchLabels": LABELS}, "template": PODS},
        ),
        spec=MANAGED,
    ),
)


def rejected(name: str, inject: Any, heal: Any, *words: str, **rest: Any) -> Fault:  # noqa: ANN401  # steps
    return Fault(name, inject, heal, VALID, Reason.CHILD_REJECTED, words, **rest)


def over_quota(kind: str, resource: str, limit: str, **rest: Any) -> Fault:  # noqa: ANN401  # JSON
    """Return the row of a quota that leaves no room for a child."""
    return rejected(
        f"quota on a {kind.partition(' ')[0]}",
        start,
        delete("resourcequota/small"),
        *(kind, "exceeded quota: small"),
        objects=(quota(**{resource: limit}),),
        starts=True,
        **rest,
    )


BUDGET: Final = theirs("PodDisruptionBudget", "policy/v1", "probe", spec={"selector": {"matchLabels": LABELS}})


PROBE: Final = theirs("Service", name="probe", spec=PORT)


def guard_services(case: Case) -> None:
    case.objects.apply(webhook(case.namespace, "", "services"))


def unguard_services(case: Case) -> None:
    case.objects.delete(f"validatingwebhookconfiguration/{case.namespace}")


REFUSED: Final = (
    over_quota("ConfigMap support-runtime", "count__configmaps", "0"),
    over_quota("Service support", "services", "0"),
    over_quota("Deployment support", "count__deployments_apps", "0"),
    over_quota("PersistentVolumeClaim support-redis", "persistentvolumeclaims", "0", spec=MANAGED),
    over_quota("Secret support-redis", "count__secrets", "1", spec=MANAGED),
    rejected(
        "admission webhook of a child that does not respond",
        start,
        unguard_services,
        *("Service support", "failed calling webhook", "guard.example.com"),
        starts=True,
        before=guard_services,
        settles=lambda case: is_denied(case, PROBE),
        after=unguard_services,
    ),
)


REJECTED: Final = (
    rejected(
        "variable that the template has twice",
        spec(template={"env": [{"name": "A"}, {"name": "A"}]}),
        spec(),
        *("Deployment support", "duplicate entries"),
    ),
    rejected(
        "request above its limit",
        spec(template={"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
        spec(),
        *("Deployment support", "must be less than or equal to cpu limit"),
    ),
    rejected(
        "toleration with a value that its operator does not take",
        spec(template={"tolerations": [{"key": "gpu", "operator": "Exists", "value": "yes"}]}),
        spec(),
        *("Deployment support", "value must be empty"),
    ),
    rejected(
        "policy that denies a child",
        start,
        allow,
        *("PodDisruptionBudget support", "no poddisruptionbudgets here"),
        starts=True,
        before=deny("policy", "poddisruptionbudgets"),
        settles=lambda case: is_denied(case, BUDGET),
        after=allow,
    ),
)


def without_right(resource: str) -> Any:  # noqa: ANN401  # a step
    """Return the step that takes the rights on a resource from the operator."""

    def take(case: Case) -> None:
        role = case.objects.get(f"clusterrole/{ACCOUNT}") or {}
        kept = [rule for rule in role["rules"] if rule["resources"] != [resource]]
        case.objects.merge(f"clusterrole/{ACCOUNT}", {"rules": kept})
        case.taken = role["rules"]

    return take


def restored(case: Case) -> None:
    case.objects.merge(f"clusterrole/{ACCOUNT}", {"rules": case.taken})


RIGHTS: Final = tuple(
    rejected(f"operator without rights on {resource}", without_right(resource), restored, *words, alone=True)
    for resource, words in (
        ("configmaps", ("ConfigMap support-runtime", "cannot get resource")),
        ("services", ("Service support", "cannot get resource")),
        ("secrets", ("Secret own", "cannot get resource")),
        ("pods", ("Pods of the ChatDeployment", "cannot list resource")),
    )
)

DEFINITION: Final = f"customresourcedefinition/{names.PLURAL}.{names.GROUP}"
ANYTHING: Final = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
UNKNOWN_TYPE: Final = {"providers": [{"name": "scripted", "type": "telepathic"}]}


def accept_anything(case: Case) -> None:
    """Replace the definition by one that validates nothing, as one of another version may, and use that."""
    versions = (case.objects.get(DEFINITION) or {})["spec"]["versions"]
    case.taken = versions
    case.objects.merge(DEFINITION, {"spec": {"versions": [{**each, "schema": ANYTHING} for each in versions]}})
    eventually(lambda: _is_accepted(case))


def _is_accepted(case: Case) -> bool:
    try:
        case.apply(**UNKNOWN_TYPE)
    except RefusedError:
        return False
    return True


def validate(case: Case) -> None:
    case.apply()
    case.objects.merge(DEFINITION, {"spec": {"versions": case.taken}})


OTHER_VERSION: Final = Fault(
    "spec of a definition of another version",
    accept_anything,
    validate,
    VALID,
    Reason.INVALID_SPEC,
    ("spec.providers.0.type", "Input should be"),
    alone=True,
)

ROWS: Final = (*SECRETS, *FOREIGN, *REFUSED, *REJECTED, *RIGHTS, OTHER_VERSION)
