"""Repairs are immediate, and delayed only where the same client changes the same field again after each of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chatfleet_contract import names
from chatfleet_operator.model.defaults import Defaults
from chatfleet_operator.model.errors import Refused
from chatfleet_operator.model.requeue import Requeue
from chatfleet_operator.model.values import Manifest, ObjectId
from chatfleet_operator.reconcile.reconcile import Parts, reconcile
from chatfleet_operator.reconcile.repairs import IMMEDIATE, MAX_DELAY, QUIET_SECONDS, Repairs
from harness.kube.fake_cluster import OPERATOR, refuse
from harness.kube.operated_cluster import REF, OperatedCluster, operated_cluster

DEPLOYMENT = ObjectId("Deployment", "support")
SERVICE = ObjectId("Service", "support")
SECRET = ObjectId("Secret", "support-redis")
STEPS = (*[1] * 20, *[20] * 30)
"""Seconds between two changes of a client that reacts to each repair."""
DOUBLINGS = 9
"""Of the delay, until it is the longest."""
MOST = IMMEDIATE + DOUBLINGS + sum(STEPS) // MAX_DELAY
OTHER = "team-a"


async def serving_cluster(**changes: object) -> OperatedCluster:
    operated = operated_cluster(**changes)
    for _ in range(2):
        await reconcile_until_done(operated)
        operated.roll_out()
    await reconcile_until_done(operated)
    operated.cluster.writes.clear()
    operated.recorded.drifted.clear()
    return operated


async def reconcile_until_done(operated: OperatedCluster) -> Requeue:
    while (result := await reconcile(REF, operated.parts)).requeue is Requeue.IMMEDIATELY:
        pass
    return result.requeue


def scale(operated: OperatedCluster, manager: str = "argocd-controller", replicas: int = 9) -> None:
    operated.cluster.edit(
        REF.namespace, DEPLOYMENT, lambda live: live["spec"].update(replicas=replicas), manager=manager
    )


def delete_service(operated: OperatedCluster) -> None:
    if (REF.namespace, SERVICE) in operated.cluster.objects:
        operated.cluster.remove(REF.namespace, SERVICE)


def add_a_port(operated: OperatedCluster) -> None:
    if len(operated.live(*SERVICE)["spec"]["ports"]) == 1:
        operated.cluster.edit(REF.namespace, SERVICE, lambda live: live["spec"]["ports"].append({"port": 9}), "script")


def strip_annotations(operated: OperatedCluster) -> None:
    operated.cluster.edit(REF.namespace, SERVICE, lambda live: live["metadata"].update(annotations={}), "script")


def repairs(operated: OperatedCluster) -> int:
    return len([write for write in operated.cluster.writes if not write.startswith("status")])


async def test_ordinary_edits_are_repaired_at_once_however_many_there_are() -> None:
    operated = await serving_cluster()
    edits: list[Callable[[Manifest], object]] = [
        lambda live: live["spec"].update(replicas=9),
        lambda live: live["metadata"]["labels"].clear(),
        lambda live: live["spec"]["template"]["spec"].update(serviceAccountName="default"),
    ]
    for number, edit in enumerate(edits * IMMEDIATE, start=1):
        operated.change(*DEPLOYMENT, edit)
        await reconcile_until_done(operated)
        operated.clock += 11

        made = repairs(operated)
        assert made == number
    assert operated.recorded.conflicts == []
    assert operated.recorded.drifted == [DEPLOYMENT] * made


async def test_an_edit_now_and_then_is_never_a_conflict() -> None:
    operated = await serving_cluster()
    for number in range(1, 20):
        scale(operated)
        await reconcile_until_done(operated)
        operated.clock += QUIET_SECONDS + 1

        made = repairs(operated)
        assert made == number


@pytest.mark.parametrize(
    ("fight", "words"),
    [
        (scale, "Deployment support: argocd-controller changes spec.replicas again after each repair"),
        (delete_service, "Service support: deleted again after each repair"),
        (add_a_port, "Service support: script changes spec.ports.1 again after each repair"),
        (strip_annotations, "Service support: script changes metadata.annotations.chatfleet.io/last-applied-hash"),
    ],
)
async def test_a_client_that_undoes_each_repair_is_named_and_repaired_less_and_less_often(
    fight: Callable[[OperatedCluster], None], words: str
) -> None:
    operated = await serving_cluster()
    for seconds in STEPS:
        fight(operated)
        await reconcile_until_done(operated)
        operated.clock += seconds
    made, counted = repairs(operated), len(operated.recorded.drifted)
    assert IMMEDIATE < made <= MOST
    assert counted == made
    assert operated.condition("Progressing") == ("False", "Conflict")
    assert words in operated.condition_document("Progressing")["message"]
    assert len(operated.recorded.conflicts) == 1

    operated.clock += MAX_DELAY
    await reconcile_until_done(operated)
    operated.clock += QUIET_SECONDS + 2 * MAX_DELAY + 1
    operated.roll_out()
    assert await reconcile_until_done(operated) is Requeue.SETTLED
    assert operated.condition("Progressing") == ("False", "Complete")
    assert operated.recorded.conflicts == []


async def test_in_a_conflict_other_changes_are_repaired_and_a_new_spec_is_applied_at_once() -> None:
    operated = await serving_cluster()
    for _ in range(2 * IMMEDIATE):
        scale(operated)
        await reconcile_until_done(operated)
    assert operated.live(*DEPLOYMENT)["spec"]["replicas"] == 9

    operated.cluster.remove(REF.namespace, SERVICE)
    await reconcile_until_done(operated)
    assert operated.live(*SERVICE)
    operated.change(names.KIND, "support", lambda live: live["spec"].update(replicas=4))
    await reconcile_until_done(operated)
    assert operated.live(*DEPLOYMENT)["spec"]["replicas"] == 4


async def test_after_a_restart_repairs_are_immediate() -> None:
    operated = await serving_cluster()
    for _ in range(2 * IMMEDIATE):
        scale(operated)
        await reconcile_until_done(operated)
    operated.repairs = Repairs(OPERATOR, lambda: operated.clock)
    await reconcile_until_done(operated)

    assert operated.live(*DEPLOYMENT)["spec"]["replicas"] == 2


def second_operator(operated: OperatedCluster) -> Parts:
    """Return an operator of another namespace that would run other images."""
    theirs = Defaults(api_image="example.com/api:theirs", redis_image="example.com/redis:8")
    return replace(operated.parts, defaults=theirs, repairs=Repairs(OTHER, lambda: operated.clock))


async def both(operated: OperatedCluster, second: Parts) -> None:
    for operator, parts in ((OPERATOR, operated.parts), (OTHER, second)):
        operated.cluster.operator = operator
        await reconcile(REF, parts)


async def test_two_operators_of_one_namespace_back_off_and_name_each_other_in_the_same_words() -> None:
    operated = await serving_cluster()
    operated.change(
        names.KIND,
        "support",
        lambda live: live["metadata"].update(annotations={names.ANNOTATION_TEMPLATE_REVISION: names.REVISION_LATEST}),
    )
    second = second_operator(operated)
    for seconds in STEPS:
        await both(operated, second)
        operated.clock += seconds

    made = repairs(operated)
    assert made <= 2 * MOST
    assert operated.condition("Progressing") == ("False", "Conflict")
    message = operated.condition_document("Progressing")["message"]
    assert "Deployment support: the operators of namespaces chatfleet-system and team-a both apply it" in message
    assert "Add namespace shop to denyNamespaces" in message
    (conflict,) = operated.recorded.conflicts
    assert str(conflict.writer) in {f"chatfleet-operator of namespace {each}" for each in (OPERATOR, OTHER)}
    operated.cluster.writes.clear()
    for _ in range(10):
        await both(operated, second)
    assert operated.cluster.writes == [], "they do not take turns in writing the status either"


async def test_an_operator_that_replaces_another_one_counts_no_repair() -> None:
    operated = await serving_cluster()
    operated.change(
        names.KIND,
        "support",
        lambda live: live["metadata"].update(annotations={names.ANNOTATION_TEMPLATE_REVISION: names.REVISION_LATEST}),
    )
    operated.cluster.operator = OTHER
    await reconcile(REF, second_operator(operated))

    assert repairs(operated) == 1
    assert operated.recorded.drifted == []
    annotations = operated.live(*DEPLOYMENT)["metadata"]["annotations"]
    assert annotations[names.ANNOTATION_OPERATOR] == OTHER


async def test_a_child_that_is_created_late_is_no_repair() -> None:
    operated = operated_cluster()
    operated.cluster.before_write = refuse("apply Service support")
    await reconcile_until_done(operated)
    operated.cluster.before_write = lambda _: None
    await reconcile_until_done(operated)

    assert operated.live(*SERVICE)
    assert operated.recorded.drifted == []


async def test_a_repair_counts_when_the_status_cannot_be_written_and_a_refused_one_does_not() -> None:
    operated = await serving_cluster()
    scale(operated)
    operated.cluster.before_write = refuse("apply")
    await reconcile_until_done(operated)
    assert operated.recorded.drifted == []

    operated.cluster.before_write = refuse("status")
    with pytest.raises(Refused):
        await reconcile_until_done(operated)
    assert operated.recorded.drifted == [DEPLOYMENT]


async def test_a_password_that_was_deleted_counts_once() -> None:
    operated = await serving_cluster()
    operated.cluster.remove(REF.namespace, SECRET)
    await reconcile_until_done(operated)

    assert operated.recorded.drifted == [SECRET]
