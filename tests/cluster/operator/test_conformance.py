"""What a reconciliation may rely on: the cluster in memory and a real API server answer alike."""

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.status import ChatDeploymentStatus, Condition, ConditionStatus
from chatfleet_operator.children import build
from chatfleet_operator.children.kinds import BY_NAME, list_keys
from chatfleet_operator.children.labels import with_hash
from chatfleet_operator.kube import Connection, KubernetesCluster, connect
from chatfleet_operator.kube.connection import MERGE, NotFound
from chatfleet_operator.model.compare import contains
from chatfleet_operator.model.errors import RefusalReason, Refused, Retry
from chatfleet_operator.model.named_secrets import NamedSecret
from chatfleet_operator.model.ownership import holds_replicas
from chatfleet_operator.model.ports import Cluster
from chatfleet_operator.model.values import Deletion, LiveState, Manifest, ObjectId, Ref, Removal, Resource, identify
from harness.kube.fake_cluster import OPERATOR, FakeCluster
from harness.kube.kubectl import Kubectl
from harness.kube.operated_cluster import DEFAULTS, EVERY_CHILD, MOMENT, document, event, pod

numbers = itertools.count(1)


class ClusterUnderTest(Protocol):
    """A cluster under test, with what other people do to it."""

    @property
    def cluster(self) -> Cluster: ...

    async def put(self, manifest: Manifest) -> Manifest: ...

    async def merge(self, namespace: str, key: ObjectId, patch: Manifest) -> None: ...

    async def get(self, namespace: str, key: ObjectId) -> Manifest | None: ...


@dataclass
class FakeUnderTest:
    cluster: FakeCluster

    async def put(self, manifest: Manifest) -> Manifest:
        return self.cluster.put(manifest)

    async def merge(self, namespace: str, key: ObjectId, patch: Manifest) -> None:
        self.cluster.edit(namespace, key, lambda live: merge_patch(live, patch))

    async def get(self, namespace: str, key: ObjectId) -> Manifest | None:
        known = (namespace, key) in self.cluster.objects
        return self.cluster.get(namespace, key) if known else None


def merge_patch(live: Manifest, patch: Manifest) -> None:
    """RFC 7396, in place."""
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            merge_patch(live[key], value)
        elif value is None:
            live.pop(key, None)
        else:
            live[key] = value


@dataclass
class RealUnderTest:
    connection: Connection

    @property
    def cluster(self) -> KubernetesCluster:
        return KubernetesCluster(self.connection, OPERATOR)

    async def put(self, manifest: Manifest) -> Manifest:
        return await self.connection.write(
            "POST",
            manifest["kind"],
            manifest["metadata"]["namespace"],
            body=manifest,
            query={"fieldManager": "kubectl"},
        )

    async def merge(self, namespace: str, key: ObjectId, patch: Manifest) -> None:
        query = {"fieldManager": "hand"}
        await self.connection.write(
            "PATCH", *(key.kind, namespace, key.name), body=patch, query=query, content_type=MERGE
        )

    async def get(self, namespace: str, key: ObjectId) -> Manifest | None:
        try:
            return await self.connection.read(key.kind, namespace, key.name)
        except NotFound:
            return None


@asynccontextmanager
async def real(kubectl: Kubectl, namespace: str) -> AsyncIterator[RealUnderTest]:
    await asyncio.to_thread(kubectl.create_namespace, namespace)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await asyncio.to_thread(kubectl.objects.within(namespace).create, account)
    async with connect({**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)}, lambda *_: None) as connection:
        yield RealUnderTest(connection)


@pytest.fixture
def namespace() -> str:
    return f"conformance-{next(numbers)}"


@pytest.fixture(params=["fake", "real"])
async def under_test(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[ClusterUnderTest]:
    if request.param == "fake":
        yield FakeUnderTest(FakeCluster())
    else:
        async with real(request.getfixturevalue("kubectl"), namespace) as it:
            yield it


def config_map(namespace: str, **data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": namespace, "labels": {"a": "1"}},
        "data": data,
    }


def deployment(namespace: str, env: dict[str, str]) -> Manifest:
    labels = {"app": "d"}
    container = {"name": "main", "image": "i", "env": [{"name": name, "value": env[name]} for name in env]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def secret(namespace: str) -> Manifest:
    metadata = {"name": "support-redis", "namespace": namespace, "labels": {"a": "1"}}
    return with_hash({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"})


CONFIG, DEPLOYMENT, SECRET = (
    ObjectId("ConfigMap", "c"),
    ObjectId("Deployment", "d"),
    ObjectId("Secret", "support-redis"),
)


def environment(live: Manifest | None) -> dict[str, str]:
    assert live
    return {each["name"]: each["value"] for each in live["spec"]["template"]["spec"]["containers"][0]["env"]}


async def test_the_issuer_of_tokens_is_read_with_its_keys(under_test: ClusterUnderTest) -> None:
    found = await under_test.cluster.token_issuer()
    assert found.issuer == "https://kubernetes.default.svc.cluster.local"
    assert isinstance(json.loads(found.keys)["keys"], list)


async def test_what_is_not_there_is_none(under_test: ClusterUnderTest, namespace: str) -> None:
    assert await under_test.cluster.resource(Ref(namespace, "support")) is None
    assert await under_test.cluster.child(namespace, CONFIG) is None
    assert await under_test.cluster.secret(namespace, "none") == NamedSecret()
    assert await under_test.cluster.pods(namespace, {"a": "b"}) == []


async def test_a_resource_counts_the_generations_of_its_spec(under_test: ClusterUnderTest, namespace: str) -> None:
    ref = Ref(namespace, "support")
    await under_test.put(document(ref))
    first = await under_test.cluster.resource(ref)
    await under_test.merge(namespace, ObjectId(names.KIND, "support"), {"spec": {"replicas": 5}})
    await under_test.merge(namespace, ObjectId(names.KIND, "support"), {"metadata": {"labels": {"a": "b"}}})
    second = await under_test.cluster.resource(ref)

    assert first
    assert second
    assert second.spec
    assert (first.generation, second.generation, second.spec.replicas) == (1, 2, 5)
    assert first.uid == second.uid


async def test_applying_creates_under_our_name_and_returns_what_then_is(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    applied = await under_test.cluster.apply(config_map(namespace, k="v"), None)

    assert applied["data"] == {"k": "v"}
    assert applied["metadata"]["uid"]
    assert {entry["manager"] for entry in applied["metadata"]["managedFields"]} == {names.FIELD_MANAGER}
    assert applied == await under_test.cluster.child(namespace, CONFIG)


async def test_applying_the_same_again_changes_nothing(under_test: ClusterUnderTest, namespace: str) -> None:
    first = await under_test.cluster.apply(deployment(namespace, {"A": "1"}), None)
    second = await under_test.cluster.apply(deployment(namespace, {"A": "1"}), first["metadata"]["uid"])

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert second["metadata"]["generation"] == 1


async def test_applying_takes_back_what_is_no_longer_asked_for_and_leaves_what_others_have_set(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    first = await under_test.cluster.apply(config_map(namespace, mine="1", old="1"), None)
    await under_test.merge(namespace, CONFIG, {"data": {"theirs": "1"}, "metadata": {"labels": {"b": "2"}}})
    live = await under_test.cluster.apply(config_map(namespace, mine="2"), first["metadata"]["uid"])

    assert live["data"] == {"mine": "2", "theirs": "1"}
    assert live["metadata"]["labels"] == {"a": "1", "b": "2"}


async def test_applying_takes_a_field_back_from_somebody_who_changed_it(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    first = await under_test.cluster.apply(config_map(namespace, k="1"), None)
    await under_test.merge(namespace, CONFIG, {"data": {"k": "2"}, "metadata": {"labels": None}})
    live = await under_test.cluster.apply(config_map(namespace, k="1"), first["metadata"]["uid"])

    assert live["data"] == {"k": "1"}
    assert live["metadata"]["labels"] == {"a": "1"}


async def test_items_of_a_list_by_name_come_and_go_one_by_one(under_test: ClusterUnderTest, namespace: str) -> None:
    first = await under_test.cluster.apply(deployment(namespace, {"A": "1", "B": "1"}), None)
    sidecar: list[Any] = [*first["spec"]["template"]["spec"]["containers"], {"name": "sidecar", "image": "mesh"}]
    await under_test.merge(namespace, DEPLOYMENT, {"spec": {"template": {"spec": {"containers": sidecar}}}})
    live = await under_test.cluster.apply(deployment(namespace, {"A": "2"}), first["metadata"]["uid"])

    assert environment(live) == {"A": "2"}
    assert {each["name"] for each in live["spec"]["template"]["spec"]["containers"]} == {"main", "sidecar"}


def holding(live: Manifest, replicas: int) -> Manifest:
    """Return what hands over the replicas of `live` to a manager of their own."""
    head = {key: live["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": head, "spec": {"replicas": replicas}}


def unscaled(manifest: Manifest) -> Manifest:
    """Return `manifest` without its number of pods."""
    return {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != "replicas"}}


@pytest.mark.parametrize("replicas", [3, 5])
async def test_what_is_handed_over_stays_when_it_is_no_longer_asked_for(
    under_test: ClusterUnderTest, namespace: str, replicas: int
) -> None:
    ours = deployment(namespace, {"A": "1"})
    ours["spec"]["replicas"] = 3
    first = await under_test.cluster.apply(ours, None)
    held = await under_test.cluster.hand_over_replicas(holding(first, replicas))
    given_up = await under_test.cluster.apply(unscaled(ours), first["metadata"]["uid"])

    assert holds_replicas(first)
    assert holds_replicas(held) == (replicas == 3), "the same number is held by both"
    assert not holds_replicas(given_up)
    assert given_up["spec"]["replicas"] == replicas


async def test_who_sets_the_number_of_pods_holds_it(under_test: ClusterUnderTest, namespace: str) -> None:
    ours = deployment(namespace, {"A": "1"})
    first = await under_test.cluster.apply(ours, None)
    await under_test.merge(namespace, DEPLOYMENT, {"spec": {"replicas": 7}})
    theirs = await under_test.cluster.child(namespace, DEPLOYMENT)
    after = await under_test.cluster.apply(unscaled(ours), first["metadata"]["uid"])
    again = await under_test.cluster.apply(ours, first["metadata"]["uid"])

    assert theirs
    assert (holds_replicas(theirs), after["spec"]["replicas"]) == (False, 7)
    assert (holds_replicas(again), again["spec"]["replicas"]) == (True, 1)


async def test_a_deployment_is_started_as_it_was_seen_or_not_at_all(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    first = await under_test.cluster.apply(deployment(namespace, {"A": "1"}), None)
    await under_test.cluster.start(holding(first, 2))
    with pytest.raises(Retry):
        await under_test.cluster.start(holding(first, 3))

    live = await under_test.cluster.child(namespace, DEPLOYMENT)
    assert live
    assert live["spec"]["replicas"] == 2


async def test_nothing_is_handed_over_over_what_somebody_has_written_meanwhile(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    first = await under_test.cluster.apply(deployment(namespace, {"A": "1"}), None)
    await under_test.merge(namespace, DEPLOYMENT, {"spec": {"replicas": 7}})
    with pytest.raises(Retry):
        await under_test.cluster.hand_over_replicas(holding(first, 5))

    live = await under_test.cluster.child(namespace, DEPLOYMENT)
    assert live
    assert live["spec"]["replicas"] == 7


async def test_a_kind_that_is_not_installed_is_refused_and_there_is_no_object_of_it(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    if isinstance(under_test, FakeUnderTest):
        under_test.cluster.unserved.add("ScaledObject")
    manifest = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "support", "namespace": namespace},
    }
    assert await under_test.cluster.child(namespace, identify(manifest)) is None
    with pytest.raises(Refused) as refused:
        await under_test.cluster.apply(manifest, None)
    assert refused.value.refusal.reason is RefusalReason.NO_KIND


async def test_an_object_of_the_whole_cluster_is_found_without_a_namespace(under_test: ClusterUnderTest) -> None:
    assert await under_test.cluster.child("", ObjectId("APIService", names.METRICS_APIS[0])) is None


async def test_a_workload_counts_the_generations_of_its_spec_alone(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    first = await under_test.cluster.apply(deployment(namespace, {"A": "1"}), None)
    await under_test.merge(namespace, DEPLOYMENT, {"metadata": {"labels": {"x": "y"}}})
    unchanged = await under_test.cluster.child(namespace, DEPLOYMENT)
    changed = await under_test.cluster.apply(deployment(namespace, {"A": "2"}), first["metadata"]["uid"])

    assert unchanged
    assert (unchanged["metadata"]["generation"], changed["metadata"]["generation"]) == (1, 2)


async def test_a_successor_of_the_object_that_was_seen_is_not_overwritten(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    await under_test.put(config_map(namespace, theirs="1"))
    with pytest.raises(Retry):
        await under_test.cluster.apply(config_map(namespace, mine="1"), "00000000-0000-0000-0000-000000000000")

    live = await under_test.cluster.child(namespace, CONFIG)
    assert live
    assert live["data"] == {"theirs": "1"}


async def test_an_object_that_was_not_observed_and_exists_is_not_taken(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    await under_test.put(config_map(namespace, theirs="1"))
    with pytest.raises(Retry):
        await under_test.cluster.apply(config_map(namespace, mine="1"), None)

    live = await under_test.cluster.child(namespace, CONFIG)
    assert live
    assert live["data"] == {"theirs": "1"}
    assert names.FIELD_MANAGER not in {entry["manager"] for entry in live["metadata"]["managedFields"]}


async def test_an_object_that_was_seen_and_is_gone_is_not_created(under_test: ClusterUnderTest, namespace: str) -> None:
    with pytest.raises(Retry):
        await under_test.cluster.apply(config_map(namespace, mine="1"), "00000000-0000-0000-0000-000000000000")

    assert await under_test.cluster.child(namespace, CONFIG) is None


def possible_manifests(ref: Ref) -> list[Manifest]:
    """Return every child of a kind that an API server without extensions has."""
    live = LiveState(secret_uid="uid-Secret")  # an identity
    specs = [ChatDeploymentSpec.model_validate(each) for each in EVERY_CHILD]
    built = [build(Resource(ref, "uid-1", "1", 1, spec), spec, DEFAULTS, live=live).children for spec in specs]
    found = {identify(child): child for children in built for child in children}
    return [child for key, child in found.items() if not BY_NAME[key.kind].optional_crd]


async def test_a_child_of_every_kind_is_created_applied_again_and_never_taken_over(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    for manifest in possible_manifests(Ref(namespace, "support")):
        created = await under_test.cluster.apply(manifest, None)
        again = await under_test.cluster.apply(manifest, created["metadata"]["uid"])
        with pytest.raises(Retry):
            await under_test.cluster.apply(manifest, None)

        (entry,) = again["metadata"]["managedFields"]
        assert (entry["manager"], entry["operation"]) == (names.FIELD_MANAGER, "Apply")
        assert again.get("spec") == created.get("spec")
        assert contains(again, manifest, list_keys(manifest["kind"]))


async def test_a_password_is_generated_once_and_survives_the_repair_of_its_labels(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    made = await under_test.cluster.generate(secret(namespace))
    drawn = await under_test.get(namespace, SECRET)
    with pytest.raises(Retry):
        await under_test.cluster.generate(secret(namespace))
    await under_test.merge(namespace, SECRET, {"metadata": {"labels": None}})
    repaired = await under_test.cluster.apply(secret(namespace), made["metadata"]["uid"])
    after = await under_test.get(namespace, SECRET)

    assert drawn
    assert after
    assert made["data"] == repaired["data"] == {"password": "", "url": ""}
    assert made["metadata"]["annotations"] == repaired["metadata"]["annotations"]
    assert names.ANNOTATION_OPERATOR in made["metadata"]["annotations"]
    assert after["data"] == drawn["data"]
    assert len({drawn["data"]["password"], drawn["data"]["url"], ""}) == 3
    assert after["metadata"]["labels"] == {"a": "1"}
    known = await under_test.cluster.secret(namespace, "support-redis")
    assert (known.keys, known.allowed) == (frozenset({"password", "url"}), "")
    await under_test.merge(namespace, SECRET, {"metadata": {"labels": {names.LABEL_ALLOWED: "support"}}})
    labelled = await under_test.cluster.secret(namespace, "support-redis")
    assert labelled.allowed == "support"
    assert labelled.version != known.version
    assert labelled.written >= known.written
    assert {entry["manager"] for entry in drawn["metadata"]["managedFields"]} == {f"{names.FIELD_MANAGER}-generate"}


async def test_only_the_object_that_was_seen_is_deleted(under_test: ClusterUnderTest, namespace: str) -> None:
    live = await under_test.put(config_map(namespace, k="v"))
    with pytest.raises(Retry):
        await under_test.cluster.delete(namespace, Deletion(CONFIG, "00000000-0000-0000-0000-000000000000"))
    assert await under_test.cluster.child(namespace, CONFIG)

    await under_test.cluster.delete(namespace, Deletion(CONFIG, live["metadata"]["uid"]))
    assert await under_test.cluster.child(namespace, CONFIG) is None
    await under_test.cluster.delete(namespace, Deletion(CONFIG, live["metadata"]["uid"]))


async def test_applying_a_selector_replaces_it_and_fields_of_others_can_be_removed(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    key = ObjectId("Service", "removed")
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]
    head = {"name": key.name, "namespace": namespace}
    ours: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": head,
        "spec": {"selector": {"a": "1"}, "ports": ports},
    }
    made = await under_test.cluster.apply(ours, None)
    added = [*ports, {"name": "other", "port": 9, "protocol": "TCP", "targetPort": 9}]
    changed = {"selector": {"b": "2"}, "ports": added, "publishNotReadyAddresses": True}
    await under_test.merge(namespace, key, {"spec": changed})
    applied = await under_test.cluster.apply(ours, made["metadata"]["uid"])

    assert applied["spec"]["selector"] == {"a": "1"}
    assert [port["port"] for port in applied["spec"]["ports"]] == [80, 9]
    pointers = ("/spec/publishNotReadyAddresses", "/spec/ports/1")
    with pytest.raises(Retry):
        await under_test.cluster.remove_fields(namespace, Removal(key, made["metadata"]["resourceVersion"], pointers))
    version = applied["metadata"]["resourceVersion"]
    left = await under_test.cluster.remove_fields(namespace, Removal(key, version, pointers))
    assert [port["port"] for port in left["spec"]["ports"]] == [80]
    assert "publishNotReadyAddresses" not in left["spec"]


async def test_pods_are_found_by_their_labels_refreshed_and_given_a_deletion_cost(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    ref = Ref(namespace, "support")
    for name in ("b", "a"):
        made = pod(name, "192.0.2.1", ref=ref)
        await under_test.put({**made, "spec": {"containers": [{"name": "api", "image": "i"}]}})
    labels = {names.LABEL_DEPLOYMENT: "support", names.LABEL_COMPONENT: "api"}
    await under_test.cluster.refresh_config(namespace, "a", "abc")
    await under_test.cluster.refresh_config(namespace, "gone", "abc")
    await under_test.cluster.refresh_secrets(namespace, "a", "def")
    await under_test.cluster.refresh_secrets(namespace, "gone", "def")
    await under_test.cluster.set_deletion_cost(namespace, "a", 7, MOMENT)
    await under_test.cluster.set_deletion_cost(namespace, "gone", 7, MOMENT)
    found = await under_test.cluster.pods(namespace, labels)

    assert [each["metadata"]["name"] for each in found] == ["a", "b"]
    assert found[0]["metadata"]["annotations"] == {
        names.ANNOTATION_CONFIG_HASH: "abc",
        names.ANNOTATION_SECRETS_HASH: "def",
        names.POD_DELETION_COST: "7",
        names.ANNOTATION_DELETION_COST_TIME: MOMENT,
    }
    assert await under_test.cluster.pods(namespace, {**labels, names.LABEL_COMPONENT: "redis"}) == []


async def test_the_event_about_an_object_is_found_by_its_uid(under_test: ClusterUnderTest, namespace: str) -> None:
    live = await under_test.put(config_map(namespace))
    other = {**live, "metadata": {**live["metadata"], "uid": "00000000-0000-0000-0000-000000000000"}}
    await under_test.put(event(other, "of a successor", "successor"))

    assert await under_test.cluster.event(namespace, live["metadata"]["uid"]) == ""

    await under_test.put(event({**live, "kind": "ConfigMap"}, "exceeded quota"))
    assert await under_test.cluster.event(namespace, live["metadata"]["uid"]) == "exceeded quota"


async def test_a_retry_changes_the_object_and_not_what_it_specifies(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    first = await under_test.cluster.apply(deployment(namespace, {"A": "1"}), None)
    await under_test.cluster.retry(namespace, DEPLOYMENT, MOMENT)
    await under_test.cluster.retry(namespace, ObjectId("Deployment", "gone"), MOMENT)
    live = await under_test.cluster.child(namespace, DEPLOYMENT)

    assert live
    before = first["metadata"]["annotations"]
    assert live["metadata"]["annotations"] == {**before, names.ANNOTATION_RETRY_TIME: MOMENT}
    assert live["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    assert live["spec"] == first["spec"]


async def test_a_status_is_written_without_a_new_generation_and_read_back_as_it_was(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    ref = Ref(namespace, "support")
    await under_test.put(document(ref))
    resource = await under_test.cluster.resource(ref)
    assert resource
    told = Condition(
        type="Ready",
        status=ConditionStatus.UNKNOWN,
        reason="Updating",
        message="…",
        observed_generation=1,
        last_transition_time=MOMENT,
    )
    status = ChatDeploymentStatus(observed_generation=1, active_streams=0, models=["default"], conditions=[told])
    await under_test.cluster.write_status(resource, status)
    after = await under_test.cluster.resource(ref)

    assert after
    assert (after.status, after.generation, after.spec) == (status, 1, resource.spec)

    await under_test.cluster.write_status(after, ChatDeploymentStatus(observed_generation=2))
    without = await under_test.cluster.resource(ref)
    assert without
    assert without.status == ChatDeploymentStatus(observed_generation=2)


async def test_a_status_is_not_written_to_what_has_changed_meanwhile(
    under_test: ClusterUnderTest, namespace: str
) -> None:
    ref = Ref(namespace, "support")
    await under_test.put(document(ref))
    live = await under_test.cluster.resource(ref)
    assert live
    await under_test.merge(namespace, ObjectId(names.KIND, "support"), {"spec": {"replicas": 5}})
    with pytest.raises(Retry):
        await under_test.cluster.write_status(live, ChatDeploymentStatus(observed_generation=9))

    after = await under_test.cluster.resource(ref)
    assert after
    assert after.status == live.status


def test_the_keys_of_this_file_name_what_it_makes() -> None:
    made = (config_map("n"), deployment("n", {}), secret("n"))

    assert tuple(map(identify, made)) == (CONFIG, DEPLOYMENT, SECRET)
