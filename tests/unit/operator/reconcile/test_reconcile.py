"""Whole reconciliations, against a cluster in memory that a conformance suite holds to the real one."""

import base64
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from chatfleet_contract import names
from chatfleet_contract.report import Dependency, State
from chatfleet_operator.model.errors import ClusterError, Refused, Retry
from chatfleet_operator.model.requeue import Requeue
from chatfleet_operator.model.values import Manifest, ObjectId
from chatfleet_operator.reconcile.reconcile import reconcile
from harness.kube.fake_cluster import Crashed, FakeCluster, refuse
from harness.kube.operated_cluster import (
    MOMENT,
    REF,
    OperatedCluster,
    event,
    foreign,
    operated_cluster,
    pod,
    resource,
    settled,
)

SECRET = ObjectId("Secret", "support-redis")


async def reconcile_until_done(operated: OperatedCluster, limit: int = 8) -> list[Requeue]:
    """Reconcile until nothing is due immediately; returns when each was requeued."""
    requeues = []
    for _ in range(limit):
        requeues.append((await reconcile(REF, operated.parts)).requeue)
        if requeues[-1] is not Requeue.IMMEDIATELY:
            break
    return requeues


async def serving_cluster() -> OperatedCluster:
    operated = operated_cluster()
    await reconcile_until_done(operated)
    operated.roll_out()
    await reconcile_until_done(operated)
    return operated


async def test_a_new_resource_gets_its_children_in_two_reconciliations_and_a_status() -> None:
    operated = operated_cluster()

    assert await reconcile_until_done(operated) == [Requeue.IMMEDIATELY, Requeue.UNSETTLED]
    assert operated.cluster.writes == [
        "generate Secret support-redis",
        *(f"apply {key}" for key in settled(resource()) if key != SECRET),  # the order is that of the golden files
        "status support",
    ]
    assert operated.condition("Ready") == ("False", "NoReadyPods")


async def test_it_is_ready_once_a_request_through_the_service_was_answered() -> None:
    operated = await serving_cluster()

    assert operated.condition("Ready") == ("True", "Serving")


async def test_at_rest_a_reconciliation_writes_nothing() -> None:
    operated = await serving_cluster()
    operated.cluster.writes.clear()

    assert await reconcile_until_done(operated) == [Requeue.SETTLED]
    assert operated.cluster.writes == []


async def test_a_new_generation_is_not_ready_before_its_pods_are() -> None:
    operated = await serving_cluster()
    operated.change(names.KIND, "support", lambda live: live["spec"].update(template={"image": "example.com/api:2"}))
    await reconcile_until_done(operated)

    assert operated.condition("Ready") == ("Unknown", "Updating")
    assert operated.condition_document("Ready")["observedGeneration"] == 2
    operated.roll_out()
    await reconcile_until_done(operated)
    assert operated.condition("Ready") == ("True", "Serving")


async def test_a_changed_configuration_reaches_running_pods_by_one_touch_each() -> None:
    operated = await serving_cluster()
    operated.cluster.writes.clear()
    operated.change(names.KIND, "support", lambda live: live["spec"].update(conversations={"ttlSeconds": 60}))
    await reconcile_until_done(operated)
    await reconcile_until_done(operated)

    assert operated.cluster.writes == [
        "apply ConfigMap support-runtime",
        "refresh config of Pod support-0",
        "refresh config of Pod support-1",
        "status support",
    ]
    assert operated.condition("Ready") == ("Unknown", "Updating")


async def test_why_pods_do_not_start_is_in_the_status_and_goes_with_its_cause() -> None:
    operated = operated_cluster()
    await reconcile_until_done(operated)
    claim = operated.live("PersistentVolumeClaim", "support-redis")
    operated.change("PersistentVolumeClaim", "support-redis", lambda live: live.update(status={"phase": "Pending"}))
    operated.cluster.put(event(claim, 'storageclass.storage.k8s.io "fast" not found'))
    await reconcile_until_done(operated)

    assert operated.condition("Progressing") == ("False", "VolumeUnavailable")
    assert operated.cluster.writes[-2:] == ["retry PersistentVolumeClaim support-redis", "status support"]
    for kind in ("Progressing", "Ready"):
        assert 'storageclass.storage.k8s.io "fast" not found.' in operated.condition_document(kind)["message"]

    operated.change("PersistentVolumeClaim", "support-redis", lambda live: live.update(status={"phase": "Bound"}))
    operated.roll_out()
    operated.cluster.writes.clear()
    await reconcile_until_done(operated)

    assert operated.condition("Progressing") == ("False", "Complete")
    assert operated.cluster.writes == ["status support"]


async def test_a_load_balancer_is_awaited_with_the_words_of_its_controller() -> None:
    operated = operated_cluster(exposure={"service": {"type": "LoadBalancer"}})
    await reconcile_until_done(operated)
    operated.roll_out()
    await reconcile_until_done(operated)
    assert operated.condition("Exposed") == ("Unknown", "LoadBalancerPending")

    operated.cluster.put(event(operated.live("Service", "support"), "Error syncing load balancer: no address is free"))
    await reconcile_until_done(operated)
    assert operated.condition("Exposed") == ("False", "LoadBalancerFailed")
    assert "no address is free" in operated.condition_document("Exposed")["message"]
    assert operated.condition("Ready") == ("True", "Serving")

    ingress = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    operated.change("Service", "support", lambda live: live.update(status=ingress))
    await reconcile_until_done(operated)
    assert operated.condition("Exposed") == ("True", "LoadBalancerReady")
    assert operated.live(names.KIND, "support")["status"]["externalURL"] == "http://203.0.113.7"


async def test_a_redis_that_does_not_start_is_not_at_rest_without_pods_of_the_api() -> None:
    operated = operated_cluster(replicas=0)
    await reconcile_until_done(operated)
    operated.roll_out(0)
    operated.change("StatefulSet", "support-redis", lambda live: live.update(status={}))

    assert await reconcile_until_done(operated) == [Requeue.UNSETTLED]
    operated.roll_out(0)
    assert await reconcile_until_done(operated) == [Requeue.SETTLED]


async def test_without_the_right_to_read_events_a_reconciliation_goes_on() -> None:
    operated = await serving_cluster()
    operated.change("PersistentVolumeClaim", "support-redis", lambda live: live.update(status={"phase": "Pending"}))

    def refuse_events(read: str) -> None:
        if read.startswith("list Event"):
            raise Refused("forbidden")

    operated.cluster.before_read = refuse_events
    await reconcile_until_done(operated)

    assert operated.condition("Ready") == ("True", "Serving")


async def test_pods_of_redis_are_not_counted_as_pods_of_the_api() -> None:
    operated = await serving_cluster()
    redis = pod("support-redis-0", "192.0.2.9")
    redis["metadata"]["labels"][names.LABEL_COMPONENT] = names.COMPONENT_REDIS
    operated.cluster.put(redis)
    await reconcile_until_done(operated)

    assert operated.condition_document("RedisAvailable")["message"].startswith("2 of 2 pods")


APPLIED = [key for key in settled(resource()) if key != SECRET]
"""Children of a ChatDeployment with a managed Redis, without its password, which is generated."""


@pytest.mark.parametrize("key", APPLIED, ids=str)
async def test_a_deleted_child_comes_back(key: ObjectId) -> None:
    operated = await serving_cluster()
    operated.cluster.writes.clear()
    operated.cluster.remove(REF.namespace, key)
    await reconcile_until_done(operated)

    assert f"apply {key}" in operated.cluster.writes
    assert operated.recorded.drifted == [key]


async def test_a_deleted_password_is_generated_anew_and_restarts_redis() -> None:
    operated = await serving_cluster()
    before = operated.live("StatefulSet", "support-redis")["spec"]["template"]["metadata"]["annotations"]
    operated.cluster.remove(REF.namespace, SECRET)
    operated.cluster.writes.clear()

    assert await reconcile_until_done(operated) == [Requeue.IMMEDIATELY, Requeue.UNSETTLED]
    assert operated.cluster.writes[:2] == ["generate Secret support-redis", "apply StatefulSet support-redis"]
    after = operated.live("StatefulSet", "support-redis")["spec"]["template"]["metadata"]["annotations"]
    assert before != after


@pytest.mark.parametrize("edited", ["password", "url"])
async def test_a_password_that_was_edited_is_generated_anew_with_an_event(edited: str) -> None:
    operated = await serving_cluster()
    operated.change(*SECRET, lambda live: live["data"].update({edited: base64.b64encode(b"changed").decode()}))
    operated.cluster.writes.clear()
    await reconcile_until_done(operated)
    await reconcile_until_done(operated)

    assert operated.cluster.writes[0] == "delete Secret support-redis"
    written = ["generate Secret support-redis", "apply StatefulSet support-redis"]
    assert [write for write in operated.cluster.writes if write in written] == written
    assert [notice.reason for notice in operated.recorded.notices] == ["PasswordRegenerated"]
    assert "Secret support-redis" in operated.recorded.notices[0].message


async def test_repairing_the_labels_of_the_password_leaves_its_values() -> None:
    operated = await serving_cluster()
    values = operated.live(*SECRET)["data"]
    operated.change(*SECRET, lambda live: live["metadata"].update(labels={}))
    await reconcile_until_done(operated)

    assert operated.live(*SECRET)["data"] == values
    assert operated.live(*SECRET)["metadata"]["labels"][names.LABEL_DEPLOYMENT] == "support"


async def test_fields_that_others_have_set_stay() -> None:
    operated = await serving_cluster()

    def inject(live: Manifest) -> None:
        live["metadata"]["annotations"]["mesh.example.com/injected"] = "yes"
        live["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "mesh"})
        live["metadata"]["labels"][names.LABEL_COMPONENT] = "edited"

    operated.change("Deployment", "support", inject)
    await reconcile_until_done(operated)
    live = operated.live("Deployment", "support")

    assert live["metadata"]["labels"][names.LABEL_COMPONENT] == "api"
    assert live["metadata"]["annotations"]["mesh.example.com/injected"] == "yes"
    assert [each["name"] for each in live["spec"]["template"]["spec"]["containers"]] == ["api", "sidecar"]


async def test_what_nobody_injects_is_put_back_and_what_a_mesh_injects_stays() -> None:
    operated = await serving_cluster()

    def edit(live: Manifest) -> None:
        pods = live["spec"]["template"]["spec"]
        pods["hostNetwork"] = True
        pods["containers"].insert(0, {"name": "sidecar", "image": "mesh", "command": ["proxy"]})
        pods["containers"][1]["command"] = ["sleep", "1d"]

    operated.change("Deployment", "support", edit)
    operated.change("Service", "support", lambda live: live["spec"]["ports"].append({"port": 9}))
    operated.change("Service", "support-redis", lambda live: live["spec"]["selector"].update(none="such"))
    await reconcile_until_done(operated)
    pods = operated.live("Deployment", "support")["spec"]["template"]["spec"]

    assert "hostNetwork" not in pods
    assert [(each["name"], each.get("command")) for each in pods["containers"]] == [
        ("sidecar", ["proxy"]),
        ("api", None),
    ]
    assert [each["port"] for each in operated.live("Service", "support")["spec"]["ports"]] == [80]
    assert "none" not in operated.live("Service", "support-redis")["spec"]["selector"]
    assert {str(key) for key in operated.recorded.drifted} == {
        "Deployment support",
        "Service support",
        "Service support-redis",
    }
    operated.roll_out()
    assert (await reconcile_until_done(operated))[-1] is Requeue.SETTLED


def pause(live: Manifest) -> None:
    live["metadata"].setdefault("annotations", {})[names.ANNOTATION_RECONCILE] = names.RECONCILE_PAUSED


async def test_while_paused_nothing_is_written_but_the_status_which_states_since_when() -> None:
    operated = await serving_cluster()
    operated.change(names.KIND, "support", pause)
    operated.change("Deployment", "support", lambda live: live["spec"].update(replicas=5))
    operated.change("Service", "support", lambda live: live["spec"]["ports"].append({"port": 9}))
    operated.cluster.remove(REF.namespace, ObjectId("PodDisruptionBudget", "support"))
    operated.roll_out()
    operated.cluster.writes.clear()
    await reconcile_until_done(operated)
    operated.moment = "2026-01-02T05:00:00Z"
    await reconcile_until_done(operated)

    assert operated.cluster.writes == ["status support"]
    assert operated.condition("Progressing") == ("Unknown", "Paused")
    message = operated.condition_document("Progressing")["message"]
    assert f"paused since {MOMENT} by the annotation chatfleet.io/reconcile=paused" in message
    assert "Deployment support, PodDisruptionBudget support, 1 more differ from the spec" in message
    assert operated.condition("Ready") == ("True", "Serving")
    assert operated.recorded.drifted == []

    operated.change(names.KIND, "support", lambda live: live["metadata"]["annotations"].clear())
    await reconcile_until_done(operated)
    assert operated.live("Deployment", "support")["spec"]["replicas"] == 2
    assert operated.live("PodDisruptionBudget", "support")


@pytest.mark.parametrize(
    ("annotations", "problem"),
    [
        ({names.ANNOTATION_RECONCILE: "Paused"}, "The value 'Paused' of the annotation chatfleet.io/reconcile has no"),
        (
            {"chatfleet.io/pause": "true"},
            "The annotation chatfleet.io/pause has no effect. Correct it to chatfleet.io/",
        ),
    ],
)
async def test_an_annotation_without_effect_is_reported_and_clients_are_served(
    annotations: Manifest, problem: str
) -> None:
    operated = await serving_cluster()
    operated.change(names.KIND, "support", lambda live: live["metadata"].update(annotations=annotations))
    await reconcile_until_done(operated)

    assert operated.condition("ConfigurationValid") == ("False", "InvalidAnnotation")
    assert problem in operated.condition_document("ConfigurationValid")["message"]
    assert operated.condition("Ready") == ("True", "Serving")
    known = {names.ANNOTATION_TEMPLATE_REVISION: "latest", "example.com/pause": "true"}
    operated.change(names.KIND, "support", lambda live: live["metadata"].update(annotations=known))
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("True", "Valid")


async def test_while_paused_a_new_spec_waits_and_ready_does_not_claim_it() -> None:
    operated = await serving_cluster()
    operated.change(names.KIND, "support", pause)
    operated.change(names.KIND, "support", lambda live: live["spec"].update(template={"image": "example.com/api:2"}))
    operated.cluster.writes.clear()
    await reconcile_until_done(operated)

    assert operated.cluster.writes == ["status support"]
    assert operated.condition("Ready") == ("Unknown", "Updating")
    assert "Deployment support is not applied" in operated.condition_document("Ready")["message"]


async def test_a_foreign_object_is_reported_and_not_taken() -> None:
    operated = operated_cluster()
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "support", "namespace": "shop"}, "spec": {}}
    operated.cluster.put(theirs)
    before = operated.live("Service", "support")
    await reconcile_until_done(operated)

    assert operated.live("Service", "support") == before
    assert operated.condition("ConfigurationValid") == ("False", "NotOwned")
    assert "Service support" in operated.condition_document("ConfigurationValid")["message"]
    assert operated.live("Deployment", "support")
    operated.cluster.remove(REF.namespace, ObjectId("Service", "support"))
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("True", "Valid")


async def test_a_rejected_child_surfaces_in_the_servers_words_and_the_rest_goes_on() -> None:
    operated = operated_cluster()
    operated.cluster.before_write = refuse("apply Service support-redis", words="exceeded quota: services")

    assert (await reconcile_until_done(operated))[-1] is Requeue.REFUSED
    assert operated.condition("ConfigurationValid") == ("False", "ChildRejected")
    message = operated.condition_document("ConfigurationValid")["message"]
    assert message == "Service support-redis: exceeded quota: services"
    assert operated.live("Deployment", "support")

    operated.cluster.before_write = lambda _: None
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("True", "Valid")


async def test_a_refused_password_surfaces_too() -> None:
    operated = operated_cluster()
    operated.cluster.before_write = refuse("generate")

    assert await reconcile_until_done(operated) == [Requeue.REFUSED]
    assert operated.condition("ConfigurationValid") == ("False", "ChildRejected")


async def test_no_pod_is_pointed_to_a_configuration_that_was_refused() -> None:
    operated = await serving_cluster()
    operated.cluster.writes.clear()
    operated.cluster.before_write = refuse("apply ConfigMap")
    operated.change(names.KIND, "support", lambda live: live["spec"].update(conversations={"ttlSeconds": 60}))
    await reconcile_until_done(operated)

    assert operated.cluster.writes == ["status support"]


async def test_what_was_repaired_is_looked_at_again_soon() -> None:
    operated = await serving_cluster()
    operated.cluster.remove(REF.namespace, ObjectId("PodDisruptionBudget", "support"))

    assert await reconcile_until_done(operated) == [Requeue.UNSETTLED]
    assert operated.condition("Ready") == ("True", "Serving")
    assert await reconcile_until_done(operated) == [Requeue.SETTLED]


async def test_an_object_that_replaces_ours_during_a_reconciliation_is_not_overwritten() -> None:
    operated = await serving_cluster()
    operated.change("Service", "support", lambda live: live["spec"].update(type="NodePort"))
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "support", "namespace": "shop"}, "spec": {}}

    def replace(write: str) -> None:
        if write == "apply Service support":
            operated.cluster.remove(REF.namespace, ObjectId("Service", "support"))
            operated.cluster.put(theirs)

    operated.cluster.before_write = replace

    assert await reconcile_until_done(operated) == [Requeue.FAILED]
    assert "ownerReferences" not in operated.live("Service", "support")["metadata"]
    operated.cluster.before_write = lambda _: None
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("False", "NotOwned")


async def test_a_missing_secret_surfaces_and_heals() -> None:
    operated = operated_cluster(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("False", "SecretMissing")

    operated.cluster.put(secret_with_url("redis://own:6379"))
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("True", "Valid")


async def test_a_malformed_url_of_redis_surfaces_before_a_pod_has_read_it_and_heals() -> None:
    operated = operated_cluster(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    operated.cluster.put(secret_with_url("redis://own:6379"))
    await reconcile_until_done(operated)

    operated.cluster.put(secret_with_url("redis//:geheim@own:6379"))
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("False", "SecretInvalid")
    assert "geheim" not in str(operated.condition_document("ConfigurationValid"))

    operated.cluster.put(secret_with_url("redis://own:6379"))
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("True", "Valid")


def secret_with_url(url: str) -> Manifest:
    data = {"url": base64.b64encode(url.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own", "namespace": "shop"}, "data": data}


async def test_the_status_is_written_also_when_the_api_server_stops_answering_half_way() -> None:
    operated = operated_cluster()
    await reconcile_until_done(operated)
    operated.change(
        names.KIND, "support", lambda live: live["spec"].update(replicas=5, conversations={"ttlSeconds": 60})
    )

    def fail(write: str) -> None:
        if write == "apply Deployment support":
            raise Retry("the server is currently unable to handle the request", after=7)

    operated.cluster.before_write = fail
    end = await reconcile(REF, operated.parts)

    assert (end.requeue, end.min_delay) == (Requeue.FAILED, 7)
    assert operated.condition("Progressing") == ("True", "RollingOut")
    assert "unable to handle" in operated.condition_document("Progressing")["message"]


@pytest.mark.parametrize("read", ["get Deployment support", "list Pod", "get Secret own"])
async def test_what_the_operator_may_not_read_surfaces(read: str) -> None:
    operated = operated_cluster(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    operated.cluster.before_read = refuse(read, words="cannot get resource")
    await reconcile_until_done(operated)

    assert operated.condition("ConfigurationValid") == ("False", "ChildRejected")
    assert "cannot get resource" in operated.condition_document("ConfigurationValid")["message"]


async def test_an_api_server_without_a_response_ends_the_reconciliation() -> None:
    operated = await serving_cluster()
    operated.cluster.writes.clear()

    def fail(read: str) -> None:
        raise Retry(f"{read}: timeout")

    operated.cluster.before_read = fail
    with pytest.raises(ClusterError, match="timeout"):
        await reconcile(REF, operated.parts)
    assert operated.cluster.writes == []


async def test_a_spec_that_cannot_be_read_is_reported_and_changes_nothing() -> None:
    operated = await serving_cluster()
    before = operated.live("Deployment", "support")
    operated.change(names.KIND, "support", lambda live: live["spec"].pop("models"))
    await reconcile_until_done(operated)

    assert operated.condition("ConfigurationValid") == ("False", "InvalidSpec")
    assert "spec.models" in operated.condition_document("ConfigurationValid")["message"]
    assert operated.live("Deployment", "support") == before


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_an_evicted_pod_that_lies_about_is_not_waited_for(phase: str) -> None:
    operated = await serving_cluster()
    operated.cluster.put(pod("evicted", "192.0.2.9", ready=False))
    operated.change("Pod", "evicted", lambda live: live["status"].update(phase=phase))
    await reconcile_until_done(operated)

    assert operated.condition("Ready") == ("True", "Serving")


async def test_the_log_has_what_was_written_and_what_has_changed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    operated = await serving_cluster()
    caplog.clear()
    operated.change("PodDisruptionBudget", "support", lambda live: live["spec"].update(maxUnavailable=9))
    operated.change(names.KIND, "support", lambda live: live["spec"].update(suspend=True))
    await reconcile_until_done(operated)

    assert [record.message for record in caplog.records] == [
        "Apply Deployment support, PodDisruptionBudget support; repair PodDisruptionBudget support",
        "Ready is False: spec.suspend is true. Conversations and configuration are kept.",
        "Available is False: spec.suspend is true.",
        "Progressing is True: Deployment support is not rolled out yet.",
    ]
    assert {str(getattr(record, "object", "")) for record in caplog.records} == {"shop/support"}


async def test_a_resource_that_is_gone_or_going_is_left_alone() -> None:
    operated = await serving_cluster()
    operated.cluster.writes.clear()
    operated.change(
        names.KIND, "support", lambda live: live["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z")
    )

    assert await reconcile_until_done(operated) == [Requeue.GONE]
    operated.cluster.remove(REF.namespace, ObjectId(names.KIND, "support"))
    assert await reconcile_until_done(operated) == [Requeue.GONE]
    assert operated.cluster.writes == []
    assert operated.recorded.gone == [REF, REF]


async def test_only_transitions_are_recorded_and_only_after_the_status_was_written() -> None:
    operated = await serving_cluster()
    operated.recorded.conditions.clear()
    await reconcile_until_done(operated)
    assert operated.recorded.conditions == []

    operated.change(names.KIND, "support", lambda live: live["spec"].update(suspend=True))
    operated.cluster.before_write = refuse("status")
    with pytest.raises(Refused):
        await reconcile(REF, operated.parts)
    assert operated.recorded.conditions == []
    assert [notice.reason for notice in operated.recorded.notices] == ["StatusNotWritten"]

    operated.cluster.before_write = lambda _: None
    await reconcile_until_done(operated)
    assert [(each.type, each.reason) for each in operated.recorded.conditions if each.type == "Ready"] == [
        ("Ready", "Suspended")
    ]


async def test_a_redis_that_is_no_longer_managed_is_removed_but_for_its_volume() -> None:
    operated = await serving_cluster()
    operated.change(
        names.KIND, "support", lambda live: live["spec"].update(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    )
    await reconcile_until_done(operated)
    left = {key for _, key in operated.cluster.objects if key.name == "support-redis"}

    assert left == {ObjectId("PersistentVolumeClaim", "support-redis")}


def final_state(cluster: FakeCluster) -> dict[ObjectId, Manifest]:
    """Return what is in the cluster, without what may differ between two ways to the same end."""
    volatile = {"uid", "resourceVersion", "generation", "managedFields", "ownerReferences", "annotations"}

    def stable(live: Manifest) -> Manifest:
        metadata = {key: value for key, value in live["metadata"].items() if key not in volatile}
        spec = {key: value for key, value in live.get("spec", {}).items() if key not in {"clusterIP", "template"}}
        return {**live, "metadata": metadata, "spec": spec, "data": sorted(live.get("data", {})), "status": None}

    return {key: stable(live) for (_, key), live in cluster.objects.items()}


def create(_: OperatedCluster) -> None:
    """The resource is new."""


def change_much(operated: OperatedCluster) -> None:
    operated.change(
        names.KIND,
        "support",
        lambda live: live["spec"].update(
            replicas=3, conversations={"ttlSeconds": 60}, exposure={"service": {"port": 81}}
        ),
    )


def switch_redis(operated: OperatedCluster) -> None:
    operated.change(
        names.KIND, "support", lambda live: live["spec"].update(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    )


def lose_the_password(operated: OperatedCluster) -> None:
    operated.cluster.remove(REF.namespace, SECRET)


@pytest.mark.parametrize("cause", [create, change_much, switch_redis, lose_the_password])
async def test_an_operator_that_dies_after_any_write_leaves_nothing_that_the_next_does_not_finish(
    cause: Callable[[OperatedCluster], None],
) -> None:
    async def prepared() -> OperatedCluster:
        operated = operated_cluster()
        if cause is not create:
            await reconcile_until_done(operated)
            operated.roll_out()
            await reconcile_until_done(operated)
        cause(operated)
        operated.cluster.writes.clear()
        return operated

    reference = await prepared()
    await reconcile_until_done(reference)
    total = len(reference.cluster.writes)

    for survived in range(1, total + 1):
        operated = await prepared()
        operated.cluster.after_write = crash_at(survived)
        with pytest.raises(Crashed):
            await reconcile_until_done(operated)
        operated.cluster.after_write = lambda _: None
        await reconcile_until_done(operated)

        assert final_state(operated.cluster) == final_state(reference.cluster), (
            f"died after write {survived} of {total}"
        )
        operated.cluster.writes.clear()
        await reconcile_until_done(operated)
        assert operated.cluster.writes == [], f"died after write {survived} of {total}"


def crash_at(number: int) -> Callable[[str], None]:
    numbers = itertools.count(1)

    def crash(_write: str) -> None:
        if next(numbers) == number:
            raise Crashed

    return crash


async def test_two_operators_that_both_start_at_nothing_end_in_one_state() -> None:
    """The Lease keeps them apart; should it fail, uids and the API server's own checks still do."""
    operated = operated_cluster()
    first, second = await reconcile(REF, operated.parts), await reconcile(REF, operated.parts)
    assert (first.requeue, second.requeue) == (Requeue.IMMEDIATELY, Requeue.UNSETTLED)

    operated.cluster.put(
        foreign({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": "shop"}})
    )
    assert await reconcile_until_done(operated) == [Requeue.UNSETTLED]


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "ExternalName", "externalName": "elsewhere.example.com"},
        {"clusterIP": "None"},
        {"clusterIP": "198.51.100.9", "ports": [{"port": 80}]},
    ],
)
async def test_a_foreign_service_is_never_probed(spec: Manifest) -> None:
    operated = await serving_cluster()
    operated.cluster.remove(REF.namespace, ObjectId("Service", "support"))
    metadata = {"name": "support", "namespace": "shop"}
    operated.cluster.put({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    operated.prober.asked.clear()
    await reconcile_until_done(operated)

    assert operated.prober.asked == []
    assert operated.condition("Ready") == ("False", "Blocked")


async def test_an_object_that_somebody_creates_after_observe_is_not_taken_and_is_reported_next() -> None:
    operated = operated_cluster()
    stranger: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "support", "namespace": REF.namespace},
        "spec": {"selector": {"app": "theirs"}},
    }

    def race(write: str) -> None:
        if write == "apply Service support":
            operated.cluster.before_write = lambda _: None
            operated.cluster.put(stranger)

    operated.cluster.before_write = race
    await reconcile_until_done(operated, 2)

    assert operated.live("Service", "support")["spec"]["selector"] == {"app": "theirs"}
    assert operated.live("Service", "support")["metadata"].get("ownerReferences") is None
    assert operated.condition("Progressing") == ("True", "RollingOut")

    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("False", "NotOwned")
    assert operated.condition_document("ConfigurationValid")["message"] == (
        "Service support (written by kubectl) exists and is not owned by this ChatDeployment."
        " Rename the ChatDeployment or delete the Service."
    )
    assert operated.live("Service", "support")["spec"]["selector"] == {"app": "theirs"}


async def test_a_pod_that_calls_itself_another_hides_nothing_of_that_one() -> None:
    operated = await serving_cluster()
    down = Dependency(state=State.DOWN, message="connection refused")
    sound = operated.prober.reports["192.0.2.2"]
    operated.prober.reports["192.0.2.1"] = sound.model_copy(update={"redis": down})  # its name is that of support-1
    await reconcile_until_done(operated)
    message = operated.condition_document("RedisAvailable")["message"]

    assert message == "1 of 2 pods cannot reach Redis. Pod support-0: connection refused"


async def test_a_repair_that_was_refused_is_not_counted() -> None:
    operated = await serving_cluster()
    operated.change("PodDisruptionBudget", "support", lambda live: live["spec"].update(maxUnavailable=9))
    operated.cluster.before_write = refuse("apply PodDisruptionBudget")
    await reconcile_until_done(operated)

    assert operated.recorded.drifted == []


async def rotating_cluster(**spec: object) -> OperatedCluster:
    """Return a cluster whose pods were created a minute after their Secrets."""
    operated = operated_cluster(**spec)
    operated.cluster.moment = "2026-01-02T03:00:00Z"
    own = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own", "namespace": "shop"}, "data": {"url": "x"}}
    operated.cluster.put(own)
    await reconcile_until_done(operated)
    operated.cluster.moment = "2026-01-02T03:01:00Z"
    operated.roll_out()
    await reconcile_until_done(operated)
    operated.cluster.writes.clear()
    return operated


def refreshes(operated: OperatedCluster) -> list[str]:
    return [write for write in operated.cluster.writes if write.startswith("refresh Secrets")]


REFRESHED = ["refresh Secrets of Pod support-0", "refresh Secrets of Pod support-1"]


@pytest.mark.parametrize(
    ("spec", "secret"),
    [({"redis": {"urlSecretRef": {"name": "own", "key": "url"}}}, "own"), ({}, "support-redis")],
    ids=["of the spec", "generated"],
)
async def test_a_secret_that_is_written_reaches_running_pods_by_one_touch_each(
    spec: dict[str, object], secret: str
) -> None:
    operated = await rotating_cluster(**spec)
    await reconcile_until_done(operated)
    assert refreshes(operated) == []

    operated.cluster.moment = "2026-01-02T03:05:00Z"
    operated.change("Secret", secret, lambda live: live["metadata"].setdefault("annotations", {}).update(a="b"))
    await reconcile_until_done(operated)
    assert refreshes(operated) == REFRESHED
    await reconcile_until_done(operated)
    assert refreshes(operated) == REFRESHED

    operated.cluster.moment = "2026-01-02T03:06:00Z"
    operated.cluster.put(pod("support-2", "192.0.2.3"))
    await reconcile_until_done(operated)
    assert refreshes(operated) == REFRESHED


async def test_a_secret_that_appears_in_the_second_of_its_pods_is_not_waited_for() -> None:
    operated = await rotating_cluster(redis={"urlSecretRef": {"name": "late", "key": "url"}})
    late = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "late", "namespace": "shop"},
        "data": {"url": "x"},
    }
    operated.cluster.put(late)
    await reconcile_until_done(operated)

    assert refreshes(operated) == REFRESHED


async def test_a_pod_that_cannot_be_annotated_is_tried_again() -> None:
    operated = await rotating_cluster(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    operated.cluster.moment = "2026-01-02T03:05:00Z"
    operated.change("Secret", "own", lambda live: live.update(data={"url": "y"}))
    operated.cluster.before_write = refuse("refresh Secrets of Pod support-0")
    await reconcile_until_done(operated)
    operated.cluster.before_write = lambda _: None
    operated.cluster.writes.clear()
    await reconcile_until_done(operated)

    assert refreshes(operated) == ["refresh Secrets of Pod support-0"]


async def test_a_reconciliation_at_rest_has_as_many_reads_as_the_documents_state() -> None:
    operated = await serving_cluster()
    reads: list[str] = []
    operated.cluster.before_read = reads.append
    await reconcile_until_done(operated)

    page = Path(__file__).parents[4] / "docs/operations/operator.md"
    (stated,) = re.findall(r"With a managed Redis these are (\d+) reads", page.read_text())
    assert len(reads) == int(stated)
