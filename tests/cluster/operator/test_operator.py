"""The operator as a process beside a real API server, with no rights but those that its code names.

No controller runs here and no pod: what Kubernetes itself would do, and answers of pods, are for the end-to-end tests.
"""

import base64
import itertools
import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chatfleet_contract import metrics, names
from chatfleet_operator.children.redis import redis_url
from chatfleet_operator.kube import RULES
from chatfleet_operator.model.values import Manifest
from chatfleet_operator.reconcile.repairs import IMMEDIATE
from harness.kube.kstatus import kstatus
from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import CHILDREN, LiveChatDeployment
from harness.kube.operated_cluster import event
from harness.kube.operator_process import NAMESPACE, OperatorProcess, account, cluster_wide, grant, operator, role
from harness.polling import eventually

KEYLESS_EXAMPLE = Path(__file__).parents[3] / "examples/09-workload-identity/chatdeployment.yaml"
numbers = itertools.count(1)
RESYNC = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="module")
def kubeconfig(kubectl: Kubectl, folder: Path) -> Path:
    """Return the way into the cluster with the operator's rights."""
    kubeconfig = account(kubectl, folder)
    grant(kubectl, *cluster_wide())
    return kubeconfig


@pytest.fixture(scope="module")
def running(kubeconfig: Path, folder: Path) -> Iterator[OperatorProcess]:
    settings = {"RESYNC_SECONDS": str(RESYNC)}
    with operator(kubeconfig, folder / "operator.log", settings) as process:
        process.elected()
        yield process


@pytest.fixture
def namespace(kubectl: Kubectl) -> str:
    name = f"operator-{next(numbers)}"
    kubectl.create_namespace(name)
    return name


@pytest.fixture
def chatdeployment(
    kubectl: Kubectl,
    namespace: str,
    running: OperatorProcess,  # noqa: ARG001  # it works there
) -> Iterator[LiveChatDeployment]:
    chatdeployment = LiveChatDeployment(kubectl, namespace)
    yield chatdeployment
    chatdeployment.remove()


@pytest.fixture(scope="module")
def settled(kubectl: Kubectl, running: OperatorProcess) -> LiveChatDeployment:  # noqa: ARG001  # it works there
    """Return a ChatDeployment that many tests share: every change in it is repaired."""
    kubectl.create_namespace("settled")
    chatdeployment = LiveChatDeployment(kubectl, "settled")
    chatdeployment.apply()
    chatdeployment.settles()
    return chatdeployment


def versions(chatdeployment: LiveChatDeployment) -> dict[str, str]:
    listed = chatdeployment.kubectl.json("get", *CHILDREN, "chatdeployment/support", "-n", chatdeployment.namespace)
    return {
        f"{each['kind']} {each['metadata']['name']}": each["metadata"]["resourceVersion"] for each in listed["items"]
    }


def test_applying_makes_all_children_and_a_status(chatdeployment: LiveChatDeployment) -> None:
    chatdeployment.apply()
    chatdeployment.settles()
    live = chatdeployment.get()

    assert {each["type"] for each in live["status"]["conditions"]} == {
        "Ready",
        "Available",
        "Progressing",
        "ConfigurationValid",
        "RedisAvailable",
        "UpstreamsAvailable",
        "AutoscalingActive",
        "Exposed",
        "AccessRestricted",
        "Reconciling",  # no pod starts here
    }
    assert chatdeployment.condition("ConfigurationValid")["status"] == "True"
    assert chatdeployment.condition("Ready")["reason"] == "NoReadyPods"
    assert live["status"]["url"] == f"http://support.{chatdeployment.namespace}.svc"


def test_nothing_is_written_on_the_users_object_but_its_status(chatdeployment: LiveChatDeployment) -> None:
    chatdeployment.apply()
    chatdeployment.settles()
    metadata = chatdeployment.get()["metadata"]

    assert "finalizers" not in metadata
    assert "annotations" not in metadata
    ours = [each for each in metadata["managedFields"] if each["manager"] == names.FIELD_MANAGER]
    assert [(each["subresource"], each["operation"]) for each in ours] == [("status", "Apply")]


def test_applying_twice_makes_no_new_generation_and_at_rest_nothing_is_written(
    chatdeployment: LiveChatDeployment, running: OperatorProcess
) -> None:
    chatdeployment.apply(template={"resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}}})
    chatdeployment.settles()
    running.reconciled(2)
    before, written = versions(chatdeployment), running.writes()
    chatdeployment.apply(template={"resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}}})
    running.reconciled(3)

    assert versions(chatdeployment) == before
    assert running.writes() == written


def test_the_example_without_keys_has_no_secret_with_one_and_is_at_rest(
    chatdeployment: LiveChatDeployment, running: OperatorProcess
) -> None:
    example = yaml.safe_load(KEYLESS_EXAMPLE.read_text())["spec"]
    chatdeployment.apply(**{name: example[name] for name in ("providers", "models")})
    chatdeployment.settles()
    running.reconciled(2)
    before, written = versions(chatdeployment), running.writes()
    running.reconciled(3)

    assert (versions(chatdeployment), running.writes()) == (before, written)
    secrets = chatdeployment.kubectl.json("get", "secrets", "-n", chatdeployment.namespace)["items"]
    assert [(each["metadata"]["name"], sorted(each["data"])) for each in secrets] == [
        ("support-redis", ["password", "url"])
    ]
    assert chatdeployment.condition("ConfigurationValid")["status"] == "True"


@pytest.mark.parametrize("what", CHILDREN)
def test_a_deleted_child_comes_back(settled: LiveChatDeployment, what: str) -> None:
    before = settled.get(what)["metadata"]["uid"]
    if what.startswith("persistentvolumeclaim"):  # nothing uses it here, but its finalizer has no controller either
        settled.patch(what, {"metadata": {"finalizers": None}})
    settled.delete(what)

    eventually(lambda: settled.exists(what) and settled.get(what)["metadata"]["uid"] != before, every=0.1)


HASH_EDITED: Manifest = {"metadata": {"annotations": {names.ANNOTATION_LAST_APPLIED_HASH: "0"}}}
EDITS: dict[str, Manifest] = {
    "serviceaccount/support": {"automountServiceAccountToken": True},
    "configmap/support-runtime": {"data": {names.CONFIG_KEY: "{}"}},
    "service/support-redis": {"spec": {"selector": {names.LABEL_COMPONENT: "api"}}},
    "statefulset/support-redis": {"spec": {"replicas": 3}},
    "service/support": {"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 9}]}},
    "poddisruptionbudget/support": {"spec": {"maxUnavailable": 9}},
    "poddisruptionbudget/support-redis": {"spec": {"maxUnavailable": 9}},
    "deployment/support": {"spec": {"replicas": 9, "template": {"spec": {"serviceAccountName": "default"}}}},
}
"""Edits of fields that a child's spec has; for other children: `HASH_EDITED`."""
STRIPPED: Manifest = {
    "metadata": {"labels": {names.LABEL_DEPLOYMENT: None, names.LABEL_COMPONENT: None, names.LABEL_MANAGED_BY: None}}
}
ORPHANED: Manifest = {"metadata": {"ownerReferences": None}}


@pytest.mark.parametrize("drift", ["edited", "labels stripped", "orphaned"])
@pytest.mark.parametrize("what", CHILDREN)
def test_a_child_that_somebody_changed_is_repaired(settled: LiveChatDeployment, what: str, drift: str) -> None:
    before = asked_for(settled.get(what))
    settled.patch(
        what, {"edited": EDITS.get(what, HASH_EDITED), "labels stripped": STRIPPED, "orphaned": ORPHANED}[drift]
    )

    eventually(lambda: asked_for(settled.get(what)) == before, every=0.1)


def asked_for(live: Manifest) -> Manifest:
    """Return an object without what the API server counts."""
    counted = {"resourceVersion", "generation", "managedFields"}
    metadata = {key: value for key, value in live["metadata"].items() if key not in counted}
    return {**live, "metadata": metadata, "status": None}


API_CONTAINER = {"op": "add", "path": "/spec/template/spec/containers/0/command", "value": ["sleep", "1d"]}
ADDED: dict[str, list[Manifest]] = {
    "service/support": [
        {"op": "add", "path": "/spec/selector/none", "value": "such"},
        {"op": "add", "path": "/spec/ports/-", "value": {"name": "ssh", "port": 22}},
    ],
    "deployment/support": [API_CONTAINER, {"op": "add", "path": "/spec/template/spec/hostNetwork", "value": True}],
    "statefulset/support-redis": [{"op": "add", "path": "/spec/template/spec/hostPID", "value": True}],
    "poddisruptionbudget/support": [{"op": "add", "path": "/spec/selector/matchLabels/none", "value": "such"}],
}
"""Fields that nobody injects, and keys in selectors, which make other objects of them."""


@pytest.mark.parametrize("what", ADDED)
def test_what_somebody_added_to_a_child_is_removed_where_nobody_injects_it(
    settled: LiveChatDeployment, what: str
) -> None:
    before = asked_for(settled.get(what))
    settled.kubectl("patch", what, "-n", settled.namespace, "--type=json", "-p", json.dumps(ADDED[what]))

    eventually(lambda: asked_for(settled.get(what)) == before, every=0.1)


def test_what_others_have_set_survives(chatdeployment: LiveChatDeployment) -> None:
    chatdeployment.apply()
    chatdeployment.settles()
    theirs = {"metadata": {"annotations": {"mesh.example.com/on": "yes"}, "labels": {"team": "shop"}}}
    chatdeployment.patch("deployment/support", theirs)
    chatdeployment.patch("service/support", {**theirs, "spec": {"externalIPs": ["192.0.2.7"]}})
    chatdeployment.apply(replicas=4)
    eventually(lambda: chatdeployment.get("deployment/support")["spec"]["replicas"] == 4)

    assert chatdeployment.get("deployment/support")["metadata"]["labels"]["team"] == "shop"
    assert chatdeployment.get("service/support")["spec"]["externalIPs"] == ["192.0.2.7"]
    assert chatdeployment.get("service/support")["metadata"]["annotations"]["mesh.example.com/on"] == "yes"


def test_a_paused_resource_is_not_written_until_it_resumes(
    chatdeployment: LiveChatDeployment, running: OperatorProcess, kubectl: Kubectl
) -> None:
    chatdeployment.apply()
    chatdeployment.settles()
    paused = f"{names.ANNOTATION_RECONCILE}={names.RECONCILE_PAUSED}"
    kubectl("annotate", "chatdep/support", paused, "-n", chatdeployment.namespace)
    eventually(chatdeployment.has_condition("Progressing", "Paused", "since 20"))
    since = chatdeployment.condition("Progressing")["lastTransitionTime"]
    chatdeployment.patch("deployment/support", EDITS["deployment/support"])
    chatdeployment.delete("service/support")
    eventually(
        chatdeployment.has_condition("Progressing", "Paused", since, "Deployment support, Service support differ")
    )
    running.reconciled(3)

    assert chatdeployment.get("deployment/support")["spec"]["replicas"] == 9
    assert not chatdeployment.exists("service/support")
    kubectl("annotate", "chatdep/support", f"{names.ANNOTATION_RECONCILE}-", "-n", chatdeployment.namespace)
    eventually(lambda: chatdeployment.exists("service/support"))
    eventually(lambda: chatdeployment.get("deployment/support")["spec"]["replicas"] == 2)


def always_newest(chatdeployment: LiveChatDeployment) -> None:
    """Make each operator apply the pods of its own settings."""
    chatdeployment.apply()
    chatdeployment.settles()
    newest = f"{names.ANNOTATION_TEMPLATE_REVISION}={names.REVISION_LATEST}"
    chatdeployment.kubectl("annotate", "chatdep/support", newest, "-n", chatdeployment.namespace)


def applied_by(chatdeployment: LiveChatDeployment) -> str:
    """Return the namespace of the operator that last applied the Deployment."""
    annotations: dict[str, str] = chatdeployment.get("deployment/support")["metadata"]["annotations"]
    return annotations[names.ANNOTATION_OPERATOR]


def names_writer(process: OperatorProcess, namespace: str, other: str) -> bool:
    """Whether the metrics of an operator name another one, by its namespace, in a conflict over a Deployment."""
    writer = f"chatfleet-operator of namespace {other}"
    return process.metric(metrics.CONFLICT, namespace=namespace, kind="Deployment", writer=writer) == 1


def test_two_operators_of_one_namespace_name_each_other_and_do_not_fight(
    chatdeployment: LiveChatDeployment, running: OperatorProcess, kubeconfig: Path, folder: Path
) -> None:
    denied = LiveChatDeployment(chatdeployment.kubectl, f"{chatdeployment.namespace}-denied")
    denied.kubectl.create_namespace(denied.namespace)
    for each in (denied, chatdeployment):
        always_newest(each)
    settings = {
        "NAMESPACE": "team-a",
        "LEADER_ELECTION": "false",
        "NAMESPACES": f"{chatdeployment.namespace},{denied.namespace}",
        "DENY_NAMESPACES": denied.namespace,
        "API_IMAGE": "example.com/api:theirs",
        "RESYNC_SECONDS": str(RESYNC),
    }
    before, started = running.metric(metrics.API_WRITES_TOTAL, kind="Deployment"), time.monotonic()
    with operator(kubeconfig, folder / "second.log", settings) as second:
        words = ("Deployment support", "operators of namespaces chatfleet-system and team-a", "denyNamespaces")
        eventually(chatdeployment.has_condition("Progressing", "Conflict", *words))
        eventually(lambda: names_writer(running, chatdeployment.namespace, "team-a"))
        eventually(lambda: names_writer(second, chatdeployment.namespace, NAMESPACE))
        second.reconciled(6)
        of_first = running.metric(metrics.API_WRITES_TOTAL, kind="Deployment") - before
        of_second = second.metric(metrics.API_WRITES_TOTAL, kind="Deployment")
        doublings = math.log2(1 + time.monotonic() - started) + 1
        assert max(of_first, of_second) <= IMMEDIATE + doublings

        chatdeployment.delete("service/support")
        eventually(lambda: chatdeployment.exists("service/support"), every=0.1)
    assert applied_by(denied) == NAMESPACE
    assert not denied.has_condition("Progressing", "Conflict")()
    denied.remove()


def test_the_address_of_a_load_balancer_is_in_the_status(chatdeployment: LiveChatDeployment) -> None:
    chatdeployment.apply(exposure={"service": {"type": "LoadBalancer", "port": 8080}})
    eventually(chatdeployment.has_condition("Exposed", "LoadBalancerPending", "Service support has no address"))
    failed = event(chatdeployment.get("service/support"), "Error syncing load balancer: no address is free")
    chatdeployment.kubectl.apply(yaml.safe_dump(failed))
    eventually(chatdeployment.has_condition("Exposed", "LoadBalancerFailed", "no address is free"))

    chatdeployment.patch_status("service/support", {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}})
    eventually(chatdeployment.has_condition("Exposed", "LoadBalancerReady", "203.0.113.7"))
    assert chatdeployment.get()["status"]["externalURL"] == "http://203.0.113.7:8080"


def test_the_scale_subresource_scales(chatdeployment: LiveChatDeployment, kubectl: Kubectl) -> None:
    chatdeployment.apply()
    chatdeployment.settles()
    kubectl("scale", "chatdep/support", "--replicas=5", "-n", chatdeployment.namespace)

    eventually(lambda: chatdeployment.get("deployment/support")["spec"]["replicas"] == 5)


def test_a_foreign_object_of_the_same_name_is_reported_and_not_taken(
    chatdeployment: LiveChatDeployment, kubectl: Kubectl
) -> None:
    kubectl("create", "service", "clusterip", "support", "--tcp=80", "-n", chatdeployment.namespace)
    before = chatdeployment.get("service/support")
    chatdeployment.apply()
    eventually(chatdeployment.has_condition("ConfigurationValid", "NotOwned", "Service support"))

    assert chatdeployment.get("service/support") == before
    assert chatdeployment.exists("deployment/support")
    assert "url" not in chatdeployment.get()["status"]
    chatdeployment.delete("service/support")
    eventually(chatdeployment.has_condition("ConfigurationValid", "Valid"))


def theirs(namespace: str, kind: str, name: str) -> Manifest:
    """Return an object that a team made for itself under the name of one of our children."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    content: dict[str, Manifest] = {
        "PersistentVolumeClaim": {"spec": spec},
        "Secret": {"stringData": {"password": "theirs", "url": "redis://theirs"}},
        "ConfigMap": {"data": {names.CONFIG_KEY: "{}"}},
        "Service": {"spec": {"ports": [{"port": 6379}]}},
        "ServiceAccount": {"automountServiceAccountToken": True},
    }
    head = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": kind, "metadata": head, **content[kind]}


@pytest.mark.parametrize(
    ("kind", "name", "workload"),
    [
        ("PersistentVolumeClaim", "support-redis", "StatefulSet support-redis"),
        ("Secret", "support-redis", "StatefulSet support-redis, Deployment support"),
        ("Service", "support-redis", "StatefulSet support-redis, Deployment support"),
        ("ConfigMap", "support-runtime", "Deployment support"),
        ("ServiceAccount", "support", "Deployment support"),
    ],
)
def test_no_workload_is_applied_that_would_use_a_foreign_object(
    chatdeployment: LiveChatDeployment, kubectl: Kubectl, kind: str, name: str, workload: str
) -> None:
    kubectl.apply(yaml.safe_dump(theirs(chatdeployment.namespace, kind, name)))
    what = f"{kind.lower()}/{name}"
    before = chatdeployment.get(what)
    chatdeployment.apply()
    words = (f"{kind} {name}", "written by kubectl", "Rename the ChatDeployment or delete", f"{workload} ")
    eventually(chatdeployment.has_condition("ConfigurationValid", "NotOwned", *words))

    assert chatdeployment.condition("Progressing")["reason"] == "Blocked"
    assert chatdeployment.get(what) == before
    workloads = [each.replace(" ", "/").lower() for each in workload.split(", ")]
    assert not any(map(chatdeployment.exists, workloads))
    if kind == "PersistentVolumeClaim":  # no controller takes its finalizer here
        chatdeployment.patch(what, {"metadata": {"finalizers": None}})
    chatdeployment.delete(what)
    eventually(chatdeployment.has_condition("ConfigurationValid", "Valid"))
    assert all(map(chatdeployment.exists, workloads))


def test_a_missing_secret_is_named_and_heals_by_itself(
    chatdeployment: LiveChatDeployment, running: OperatorProcess, kubectl: Kubectl
) -> None:
    chatdeployment.apply(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    eventually(chatdeployment.has_condition("ConfigurationValid", "SecretMissing", "key url", "Secret own"))
    kubectl("create", "secret", "generic", "own", "--from-literal=other=x", "-n", chatdeployment.namespace)
    running.reconciled(2)
    assert chatdeployment.has_condition("ConfigurationValid", "SecretMissing")()
    eventually(chatdeployment.has_condition("Stalled", "Blocked", "SecretMissing", "key url"))
    assert kstatus(chatdeployment.get()) == "Failed"

    chatdeployment.patch("secret/own", {"stringData": {"url": "redis://x"}})
    eventually(chatdeployment.has_condition("ConfigurationValid", "Valid"))
    assert chatdeployment.condition("Stalled") == {}
    assert kstatus(chatdeployment.get()) == "InProgress"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}, "must be less than or equal to cpu limit"),
        ({"tolerations": [{"operator": "Exists", "value": "a"}]}, "value must be empty"),
        ({"env": [{"name": "A"}, {"name": "A"}]}, "duplicate entries"),
        ({"env": [{"name": "not a name=", "value": "x"}]}, "env[3].name"),
    ],
)
def test_a_rejected_child_surfaces_in_the_servers_words_and_heals(
    chatdeployment: LiveChatDeployment, template: Manifest, words: str
) -> None:
    chatdeployment.apply(template=template)
    eventually(chatdeployment.has_condition("ConfigurationValid", "ChildRejected", "Deployment support", words))
    assert chatdeployment.exists("service/support")
    assert chatdeployment.condition("Progressing")["reason"] == "Blocked"

    chatdeployment.apply(template={})
    eventually(chatdeployment.has_condition("ConfigurationValid", "Valid"))
    assert chatdeployment.exists("deployment/support")


def test_a_rejection_by_a_policy_surfaces_and_heals_when_the_policy_goes(
    chatdeployment: LiveChatDeployment, kubectl: Kubectl
) -> None:
    name = chatdeployment.namespace
    chatdeployment.apply()
    chatdeployment.settles()
    kubectl.apply(yaml.safe_dump_all(policy(name)))
    deny = {"metadata": {"annotations": {"a": str(time.time())}}}
    eventually(lambda: refused(chatdeployment, "poddisruptionbudget/support", deny))
    kubectl("delete", "pdb/support", "-n", name)

    eventually(
        chatdeployment.has_condition("ConfigurationValid", "ChildRejected", "PodDisruptionBudget", "no budgets here"),
        seconds=10,
    )
    kubectl("delete", "validatingadmissionpolicybinding", name)
    eventually(chatdeployment.has_condition("ConfigurationValid", "Valid"))


def refused(chatdeployment: LiveChatDeployment, what: str, patch: Manifest) -> bool:
    try:
        chatdeployment.patch(what, patch)
    except AssertionError as failed:
        return "no budgets here" in str(failed)
    return False


def policy(namespace: str) -> list[Manifest]:
    """Return a policy that takes no PodDisruptionBudget in `namespace`."""
    api = "admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": ["policy"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["poddisruptionbudgets"],
    }
    matched = {
        "resourceRules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    deny = {"expression": "false", "message": "no budgets here"}
    return [
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": namespace},
            "spec": {"matchConstraints": matched, "validations": [deny]},
        },
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": namespace},
            "spec": {"policyName": namespace, "validationActions": ["Deny"]},
        },
    ]


@pytest.mark.parametrize("edited", ["password", "url"])
def test_a_generated_password_that_was_edited_is_generated_anew(
    chatdeployment: LiveChatDeployment, kubectl: Kubectl, edited: str
) -> None:
    chatdeployment.apply()
    chatdeployment.settles()
    secret, redis = chatdeployment.get("secret/support-redis"), chatdeployment.get("statefulset/support-redis")
    chatdeployment.patch("secret/support-redis", {"stringData": {edited: "redis://:changed@elsewhere:6379/0"}})

    eventually(lambda: chatdeployment.get("statefulset/support-redis")["spec"] != redis["spec"])
    data = {
        key: base64.b64decode(text).decode() for key, text in chatdeployment.get("secret/support-redis")["data"].items()
    }
    assert data["url"] == redis_url("support-redis", chatdeployment.namespace, data["password"])
    assert data["password"] != base64.b64decode(secret["data"]["password"]).decode()
    events = kubectl.json("get", "events.v1.events.k8s.io", "-n", chatdeployment.namespace)["items"]
    assert [each["type"] for each in events if each["reason"] == "PasswordRegenerated"] == ["Warning"]


def test_a_redis_that_is_no_longer_managed_is_removed_but_for_its_volume(
    chatdeployment: LiveChatDeployment, kubectl: Kubectl
) -> None:
    chatdeployment.apply()
    chatdeployment.settles()
    kubectl("create", "secret", "generic", "own", "--from-literal=url=redis://x", "-n", chatdeployment.namespace)
    chatdeployment.patch(
        "chatdeployment/support", {"spec": {"redis": {"managed": None, "urlSecretRef": {"name": "own", "key": "url"}}}}
    )
    gone = ("statefulset/support-redis", "service/support-redis", "secret/support-redis")

    eventually(lambda: not any(map(chatdeployment.exists, gone)))
    assert chatdeployment.exists("persistentvolumeclaim/support-redis")


VOLUME = "persistentvolumeclaim/support-redis"


def test_a_claim_that_is_not_bound_follows_the_spec(chatdeployment: LiveChatDeployment) -> None:
    chatdeployment.apply(redis={"managed": {"storageClassName": "fsat"}})
    chatdeployment.settles()
    chatdeployment.apply(redis={"managed": {"storageClassName": "fast", "storage": "2Gi"}}, replicas=4)
    eventually(lambda: "deletionTimestamp" in chatdeployment.get(VOLUME)["metadata"])
    chatdeployment.patch(VOLUME, {"metadata": {"finalizers": None}})  # no controller does it here

    def spec() -> Manifest:
        found: Manifest = chatdeployment.get(VOLUME)["spec"]
        return found

    eventually(lambda: spec()["storageClassName"] == "fast")
    assert spec()["resources"]["requests"]["storage"] == "2Gi"
    eventually(chatdeployment.has_condition("ConfigurationValid", "Valid"))
    assert chatdeployment.get("deployment/support")["spec"]["replicas"] == 4


def test_a_volume_that_cannot_follow_the_spec_is_kept_and_reported_and_the_way_back_is_open(
    chatdeployment: LiveChatDeployment,
) -> None:
    chatdeployment.apply(redis={"managed": {"storageClassName": "fixed"}})
    chatdeployment.settles()
    chatdeployment.patch(VOLUME, {"spec": {"volumeName": "disk"}})
    chatdeployment.patch_status(VOLUME, {"phase": "Bound", "capacity": {"storage": "1Gi"}})
    before = chatdeployment.get(VOLUME)["spec"]

    chatdeployment.apply(redis={"managed": {"storageClassName": "fixed", "storage": "2Gi"}}, replicas=4)
    words = ("PersistentVolumeClaim support-redis", "resize", "Set spec.redis.managed.storage to 1Gi")
    eventually(chatdeployment.has_condition("ConfigurationValid", "VolumeDiffers", *words))
    assert chatdeployment.condition("Ready")["reason"] == "NoReadyPods"
    assert chatdeployment.get("deployment/support")["spec"]["replicas"] == 4
    chatdeployment.apply(redis={"managed": {"storageClassName": "slow"}})
    moved = ("storageClassName is slow", "the class fixed and cannot move")
    eventually(chatdeployment.has_condition("ConfigurationValid", "VolumeDiffers", *moved))
    chatdeployment.apply(redis={"managed": {"storageClassName": "fixed"}})
    eventually(chatdeployment.has_condition("ConfigurationValid", "Valid"))
    assert chatdeployment.get(VOLUME)["spec"] == before


def test_with_rights_in_one_namespace_it_works_there_and_what_it_made_can_go_without_it(
    kubectl: Kubectl, namespace: str, folder: Path
) -> None:
    """What deletes the children then is Kubernetes' own collector: it follows the owner references."""
    chatdeployment = LiveChatDeployment(kubectl, namespace)
    kubeconfig = account(kubectl, folder, "narrow")
    grant(kubectl, role("Role", "narrow", RULES, namespace), account="narrow")
    settings = {"LEADER_ELECTION": "false", "NAMESPACES": namespace}
    with operator(kubeconfig, folder / "short.log", settings) as process:
        chatdeployment.apply()
        chatdeployment.settles()
        assert process.stop() == 0
    assert denied(process) == set()
    resource = chatdeployment.get()["metadata"]
    for each in CHILDREN:
        (owner,) = chatdeployment.get(each)["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (resource["uid"], True, True)
        if not each.startswith("persistentvolumeclaim"):
            assert "finalizers" not in chatdeployment.get(each)["metadata"]

    kubectl("delete", "chatdeployment/support", "-n", namespace, "--timeout=5s")
    assert not chatdeployment.exists("chatdeployment/support")


def test_events_tell_of_transitions_and_then_nothing(
    chatdeployment: LiveChatDeployment, running: OperatorProcess, kubectl: Kubectl
) -> None:
    chatdeployment.apply(replicas=0)
    eventually(chatdeployment.has_condition("Ready", "ScaledToZero"))

    def events() -> list[Manifest]:
        found: list[Manifest] = kubectl.json("get", "events.v1.events.k8s.io", "-n", chatdeployment.namespace)["items"]
        return found

    eventually(lambda: len(events()) >= 2)
    running.reconciled(4)
    assert sorted((each["type"], each["note"].split(":")[0]) for each in events()) == [
        ("Normal", "Progressing is True"),
        ("Normal", "Ready is False"),
    ]
    assert {each["regarding"]["uid"] for each in events()} == {chatdeployment.get()["metadata"]["uid"]}
    assert "ScaledToZero" in kubectl("describe", "chatdeployment/support", "-n", chatdeployment.namespace)


def denied(process: OperatorProcess) -> set[tuple[str, str]]:
    """Return the verbs and resources for which the API server found no right."""
    return set(re.findall(r'cannot (\w+) resource \\?"([\w/]+)', process.log.read_text()))


def test_every_write_is_within_the_rights_that_the_code_names(running: OperatorProcess) -> None:
    """The tests above ran with exactly these; a right that was missing would have been said here."""
    assert denied(running) == set()
    assert running.get("/ready")[0] == 200
    assert running.metric(metrics.EVENTS_DROPPED_TOTAL) == 0


def test_a_status_that_the_operator_may_not_write_has_an_event(
    chatdeployment: LiveChatDeployment, kubectl: Kubectl
) -> None:
    rules = kubectl.json("get", "clusterrole", "chatfleet-operator")
    without = [rule for rule in rules["rules"] if rule["resources"] != [f"{names.PLURAL}/status"]]
    assert without != rules["rules"]
    namespace = ("-n", chatdeployment.namespace)

    def notes() -> list[str]:
        events = kubectl.json("get", "events.events.k8s.io", *namespace)["items"]
        return [each["note"] for each in events if each["reason"] == "StatusNotWritten"]

    try:
        kubectl.apply(yaml.safe_dump({**bare(rules), "rules": without}))
        chatdeployment.apply()
        eventually(lambda: notes() and f"{names.PLURAL}/status" in notes()[0])
    finally:
        kubectl.apply(yaml.safe_dump(bare(rules)))
    chatdeployment.settles()


def test_a_resource_of_which_the_operator_may_read_nothing_says_so(
    chatdeployment: LiveChatDeployment, kubectl: Kubectl, running: OperatorProcess
) -> None:
    chatdeployment.apply()
    chatdeployment.settles()
    rules = kubectl.json("get", "clusterrole", "chatfleet-operator")
    without = [rule for rule in rules["rules"] if rule["resources"] != ["configmaps"]]
    try:
        kubectl.apply(yaml.safe_dump({**bare(rules), "rules": without}))
        eventually(
            chatdeployment.has_condition(
                "ConfigurationValid", "ChildRejected", "ConfigMap support-runtime", "cannot get"
            ),
        )
    finally:
        kubectl.apply(yaml.safe_dump(bare(rules)))
    eventually(chatdeployment.has_condition("ConfigurationValid", "Valid"))
    assert running.get("/live")[0] == 200


def bare(live: Manifest) -> Manifest:
    return {**live, "metadata": {"name": live["metadata"]["name"]}}
