"""What should exist, as golden YAML that a person who operates clusters can read."""

import json
from pathlib import Path

import pytest

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.spec.providers import Azure
from chatfleet_operator.children import build, possible_children
from chatfleet_operator.children.labels import with_hash
from chatfleet_operator.model.values import Desired, LiveState, Manifest, Resource, identify
from harness.golden import expect, readable
from harness.kube.operated_cluster import DEFAULTS, EVERY_CHILD, REF, spec

GOLDEN = Path(__file__).parent / "golden"

MOUNTED = {
    "sources": [
        {"configMapRef": {"name": "billing-docs"}},
        {"volumeClaimRef": {"name": "handbook", "path": "current"}},
    ]
}
COLLECTION = {
    "store": {
        "type": "chroma",
        "chroma": {"url": "http://chroma", "collection": "docs", "tokenSecretRef": {"name": "chroma", "key": "token"}},
    },
    "embedding": {"model": "default"},
}
KNOWING = spec(
    models=[
        {"name": "default", "provider": "scripted", "model": "echo", "knowledge": MOUNTED},
        {"name": "remote", "provider": "scripted", "model": "echo", "knowledge": COLLECTION},
    ]
)
FULL = spec(
    replicas=3,
    providers=[
        {
            "name": "openai",
            "type": "openai",
            "apiKeySecretRef": {"name": "llm-keys", "key": "openai"},
            "timeouts": {"connectSeconds": 2},
        },
        {
            "name": "azure",
            "type": "azureOpenAI",
            "baseURL": "https://example.openai.azure.com",
            "apiKeySecretRef": {"name": "llm-keys", "key": "azure"},
            "azure": {"apiVersion": "2024-10-21"},
        },
    ],
    models=[
        {"name": "default", "provider": "openai", "model": "gpt-6-luna", "fallbacks": ["spare"]},
        {"name": "spare", "provider": "azure", "model": "gpt-6-sol", "parameters": {"temperature": 0.2}},
    ],
    redis={"urlSecretRef": {"name": "redis", "key": "url"}},
    streaming={"drainSeconds": 0, "maxStreamSeconds": 120},
    egress={
        "allow": [".tools.example.com"],
        "proxyURL": "http://proxy:3128",
        "noProxy": ["10.0.0.0/8"],
        "caBundleRef": {"configMapKeyRef": {"name": "cas", "key": "ca.pem"}},
    },
    exposure={"service": {"type": "LoadBalancer", "port": 8080, "annotations": {"lb.example.com/class": "internal"}}},
    template={
        "image": "example.com/own:2",
        "resources": {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "chat", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
        ],
        "priorityClassName": "high",
        "labels": {"team": "shop", names.LABEL_COMPONENT: "stolen", names.LABEL_TRAFFIC: "stolen"},
        "annotations": {"example.com/a": "b"},
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    },
)

KEYLESS = spec(
    providers=[
        {
            "name": "openai",
            "type": "openai",
            "credentials": {
                "workloadIdentity": {"openAI": {"identityProviderID": "idp_1", "serviceAccountID": "sa_1"}}
            },
        },
        {
            "name": "internal",
            "type": "openAICompatible",
            "baseURL": "https://llm.example.com/v1",
            "credentials": {
                "workloadIdentity": {
                    "audience": "https://auth.example.com",
                    "lifetimeSeconds": 600,
                    "tokenExchange": {"url": "https://auth.example.com/token"},
                }
            },
        },
    ],
    models=[{"name": "default", "provider": "openai", "model": "gpt-6-luna"}],
)

SLEEPING = spec(
    autoscaling={
        "minReplicas": 0,
        "maxReplicas": 9,
        "source": "keda",
        "activationTimeoutSeconds": 60,
        "keda": {"prometheusURL": "http://prometheus"},
    },
    streaming={"maxStreamsPerPod": 20, "maxStreamSeconds": 300, "heartbeatSeconds": 5},
    observability={"logLevel": "debug"},
    template=FULL["template"],
)


def built(document: Manifest, secret_uid: str = "secret-uid") -> Desired:  # an identity
    resource = Resource(REF, "uid-1", "1", 1, ChatDeploymentSpec.model_validate(document))
    assert resource.spec
    return build(resource, resource.spec, DEFAULTS, live=LiveState(secret_uid=secret_uid))


def child(wanted: Desired, kind: str, name: str = REF.name) -> Manifest:
    return next(each for each in wanted.children if identify(each) == (kind, name))


@pytest.mark.parametrize(
    ("name", "document"),
    [("managed-redis", spec()), ("everything", FULL), ("workload-identity", KEYLESS), ("knowledge", KNOWING)],
)
def test_the_objects_are_those_of_the_golden_files(name: str, document: Manifest) -> None:
    expect(readable(built(document).children), GOLDEN / f"{name}.yaml")


def test_nothing_is_shared_between_two_objects_or_with_the_spec() -> None:
    """YAML would show shared parts as anchors; JSON text of a changed copy would differ."""
    resource_spec = ChatDeploymentSpec.model_validate(FULL)
    before = resource_spec.model_dump_json()
    resource = Resource(REF, "uid-1", "1", 1, resource_spec)
    first, second = (build(resource, resource_spec, DEFAULTS, live=LiveState()) for _ in range(2))

    for manifest in first.children:
        spoil(manifest)

    assert resource_spec.model_dump_json() == before
    assert second == build(resource, resource_spec, DEFAULTS, live=LiveState())


def spoil(value: object) -> None:
    """Change every list and map in place."""
    if isinstance(value, dict):
        for each in value.values():
            spoil(each)
        value["spoiled"] = True
    elif isinstance(value, list):
        for each in value:
            spoil(each)
        value.append("spoiled")


def test_the_same_spec_gives_the_same_bytes() -> None:
    assert json.dumps(built(FULL).children) == json.dumps(built(FULL).children)


def test_a_selector_holds_only_our_two_labels_whatever_the_template_says() -> None:
    deployment = child(built(FULL), "Deployment")
    own = {names.LABEL_DEPLOYMENT: "support", names.LABEL_COMPONENT: "api"}

    assert deployment["spec"]["selector"]["matchLabels"] == own
    assert {**own, names.LABEL_TRAFFIC: "true"}.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert child(built(FULL), "Service")["spec"]["selector"] == own


def test_every_child_belongs_to_its_resource_and_carries_its_digest() -> None:
    children = built(spec()).children

    for manifest in children:
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == ("uid-1", True)
    digests = {manifest["metadata"]["annotations"][names.ANNOTATION_LAST_APPLIED_HASH] for manifest in children}
    assert len(digests) == len(children)


def test_the_hash_of_a_manifest_is_of_its_content_and_the_same_in_every_release() -> None:
    manifest = {"metadata": {"name": "a"}, "data": {"k": "v"}}
    annotations = {names.ANNOTATION_LAST_APPLIED_HASH: "0582e6ba56815752"}

    assert with_hash(manifest) == {"metadata": {"name": "a", "annotations": annotations}, "data": {"k": "v"}}
    assert with_hash({**manifest, "data": {"k": "w"}})["metadata"]["annotations"] != annotations


@pytest.mark.parametrize(
    ("document", "kind", "name", "digest"),
    [
        (spec(), "StatefulSet", "support-redis", "b42d7f9330896e4b"),
        (spec(), "Deployment", "support", "07182772f187ae51"),
        ({**FULL, "egress": {}}, "Deployment", "support", "b61e9caddb3574b9"),
        (FULL, "Deployment", "support", "efdb15db5cbf5ff1"),
        (SLEEPING, "Deployment", "support-activator", "5d86cdf0ae691825"),
    ],
)
def test_the_inputs_of_a_template_have_the_same_hash_in_every_release(
    document: Manifest, kind: str, name: str, digest: str
) -> None:
    """Another hash for the same spec would restart every pod when the operator is upgraded."""
    annotations = child(built(document), kind, name)["metadata"]["annotations"]

    assert annotations[names.ANNOTATION_TEMPLATE_INPUTS_HASH] == digest


def test_the_config_map_has_the_runtime_configuration_as_pods_read_it() -> None:
    wanted = built(FULL)
    data = child(wanted, "ConfigMap", names.config_name(REF.name))["data"]

    assert data == {names.CONFIG_KEY: wanted.config.render()}


def test_every_child_has_a_place_where_it_is_looked_for() -> None:
    wanted = {identify(each) for document in EVERY_CHILD for each in built(document).children}

    assert wanted == set(possible_children(REF.name))


@pytest.mark.parametrize(("document", "replicas"), [(spec(replicas=5), 5), (spec(replicas=5, suspend=True), 0)])
def test_suspend_scales_to_zero_and_keeps_everything_else(document: Manifest, replicas: int) -> None:
    wanted = built(document)

    assert child(wanted, "Deployment")["spec"]["replicas"] == replicas
    assert len(wanted.children) == len(built(spec()).children)


def test_a_change_of_configuration_does_not_touch_the_pod_template() -> None:
    one, other = (
        child(built(spec(conversations={"ttlSeconds": seconds})), "Deployment")["spec"] for seconds in (60, 3600)
    )

    assert one == other


def test_a_pod_gets_the_time_that_its_drain_and_its_longest_stream_take() -> None:
    streaming = {"drainSeconds": 7, "maxStreamSeconds": 100}
    pod = child(built(spec(streaming=streaming)), "Deployment")["spec"]["template"]["spec"]

    assert pod["terminationGracePeriodSeconds"] == 117
    container = pod["containers"][0]
    asked = container["lifecycle"]["preStop"]["httpGet"]
    assert (asked["path"], asked["port"]) == ("/drain", "health")
    (shown,) = asked["httpHeaders"]
    assert shown["name"] == names.HEADER_DRAIN
    assert {"name": names.ENV_DRAIN_TOKEN, "value": shown["value"]} in container["env"]
    assert len(shown["value"]) == 64


def test_without_a_drain_there_is_no_hook() -> None:
    pod = child(built(spec(streaming={"drainSeconds": 0})), "Deployment")["spec"]["template"]["spec"]

    assert "lifecycle" not in pod["containers"][0]


def test_every_secret_is_optional_so_that_pods_always_boot() -> None:
    pod = child(built(FULL), "Deployment")["spec"]["template"]["spec"]
    sources = next(volume for volume in pod["volumes"] if volume["name"] == "secrets")["projected"]["sources"]

    files = [source.get("secret") or source["configMap"] for source in sources]
    assert [file["optional"] for file in files] == [True, True, True, True]
    paths = {f"{names.SECRETS_DIR}/{file['items'][0]['path']}" for file in files}
    keys = {names.api_key_file("openai"), names.api_key_file("azure")}
    assert paths == {*keys, names.REDIS_URL_FILE, names.CA_BUNDLE_FILE}


@pytest.mark.parametrize(("kind", "reference"), [("secret", "secretKeyRef"), ("configMap", "configMapKeyRef")])
def test_the_ca_bundle_is_mounted_from_where_it_is(kind: str, reference: str) -> None:
    egress = {"caBundleRef": {reference: {"name": "cas", "key": "ca.pem"}}}
    pod = child(built(spec(egress=egress)), "Deployment")["spec"]["template"]["spec"]
    sources = next(volume for volume in pod["volumes"] if volume["name"] == "secrets")["projected"]["sources"]
    path = names.CA_BUNDLE_FILE.removeprefix(f"{names.SECRETS_DIR}/")

    assert sources[-1] == {kind: {"name": "cas", "optional": True, "items": [{"key": "ca.pem", "path": path}]}}
    assert built(spec(egress=egress)).config.egress.ca_bundle_file == names.CA_BUNDLE_FILE


def test_the_runtime_configuration_holds_paths_and_no_reference_to_a_secret() -> None:
    config = built(FULL).config

    assert config.providers[0].api_key_file == names.api_key_file("openai")
    assert config.providers[1].azure == Azure(api_version="2024-10-21")
    assert config.providers[0].timeouts.connect_seconds == 2
    assert config.redis_url_file == names.REDIS_URL_FILE
    assert "llm-keys" not in config.render()


def test_every_object_and_every_pod_inherits_metadata_and_keeps_ours() -> None:
    inherited = {"labels": {"team": "shop", names.LABEL_COMPONENT: "stolen"}, "annotations": {"example.com/a": "own"}}
    plain, children = built(SLEEPING).children, built({**SLEEPING, "inheritedMetadata": inherited}).children

    for before, after in zip(plain, children, strict=True):
        holders = [(before, after)]
        if "template" in before.get("spec", {}):
            holders.append((before["spec"]["template"], after["spec"]["template"]))
        for old, new in holders:
            assert new["metadata"]["labels"] == {**old["metadata"]["labels"], "team": "shop"}
            assert new["metadata"]["annotations"]["example.com/a"]
    selectors = [each["spec"]["selector"] for each in children if each["kind"] == "Service"]
    assert selectors == [each["spec"]["selector"] for each in plain if each["kind"] == "Service"]


def test_pods_without_resources_in_the_spec_request_some_and_are_not_the_first_to_be_evicted() -> None:
    for kind, name in (("Deployment", "support"), ("StatefulSet", "support-redis")):
        (container,) = child(built(spec()), kind, name)["spec"]["template"]["spec"]["containers"]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_redis_rejects_writes_before_it_reaches_its_memory_limit() -> None:
    limited = {
        "resources": {"limits": {"memory": "1Gi"}},
        "priorityClassName": "data",
        "nodeSelector": {"disk": "fast"},
    }
    unlimited = child(built(spec()), "StatefulSet", "support-redis")["spec"]["template"]["spec"]
    pod = child(built(spec(redis={"managed": limited})), "StatefulSet", "support-redis")["spec"]["template"]["spec"]

    assert "--maxmemory 805306368 --maxmemory-policy noeviction" in pod["containers"][0]["command"][-1]
    assert "--maxmemory " not in unlimited["containers"][0]["command"][-1]
    assert pod["containers"][0]["resources"] == limited["resources"]
    assert (pod["priorityClassName"], pod["nodeSelector"]) == ("data", {"disk": "fast"})


@pytest.mark.parametrize(("managed", "evicted"), [({}, 1), ({"maxUnavailable": 0}, 0)])
def test_a_drain_evicts_redis_unless_the_spec_makes_it_wait(managed: Manifest, evicted: int) -> None:
    budget = child(built(spec(redis={"managed": managed})), "PodDisruptionBudget", "support-redis")["spec"]
    redis = child(built(spec()), "StatefulSet", "support-redis")["spec"]

    assert budget["maxUnavailable"] == evicted
    assert budget["selector"] == redis["selector"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_all_pods_pull_with_the_same_secrets_and_the_account_has_its_annotations() -> None:
    template = {"imagePullSecrets": [{"name": "registry"}]}
    annotations = {"example.com/role": "chat"}
    wanted = built({**SLEEPING, "template": template, "serviceAccount": {"annotations": annotations}})

    pods = [each["spec"]["template"]["spec"] for each in wanted.children if "template" in each.get("spec", {})]
    assert [pod["imagePullSecrets"] for pod in pods] == [template["imagePullSecrets"]] * 3
    assert annotations.items() <= child(wanted, "ServiceAccount")["metadata"]["annotations"].items()


def test_another_password_secret_restarts_redis_and_nothing_else() -> None:
    one, other = built(spec(), "first").children, built(spec(), "second").children
    changed = [identify(a) for a, b in zip(one, other, strict=True) if a != b]

    assert changed == [("StatefulSet", "support-redis")]


def test_no_command_line_of_redis_shows_its_password() -> None:
    pod = child(built(spec()), "StatefulSet", "support-redis")["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert "env" not in container
    assert "\nrequirepass $(cat " in container["command"][-1]
    assert "--requirepass" not in container["command"][-1]
    assert "redis-cli -a" not in json.dumps(container)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Deployment", "support"), ("Deployment", "support-activator"), ("StatefulSet", "support-redis")],
)
def test_pods_meet_pod_security_restricted(kind: str, name: str) -> None:
    pod = child(built(SLEEPING), kind, name)["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
