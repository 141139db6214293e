"""What a pass decides to do about what it sees."""

from dataclasses import replace

import pytest

from chatfleet_contract import names
from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.ownership import GENERATE_MANAGER, describe_owner, is_ours
from chatfleet_operator.model.values import Deletion, Manifest, ObjectId, Outcome, Pod, identify
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.status.report import report
from harness.kube.operated_cluster import DEFAULTS, MOMENT, foreign, observed, pod_report, resource, settled

DEPLOYMENT = ObjectId("Deployment", "support")
SECRET = ObjectId("Secret", "support-redis")


def test_at_rest_nothing_is_written() -> None:
    plan = decide(observed(resource()), DEFAULTS)

    assert plan.writes == 0
    assert plan.desired


def test_a_new_resource_first_gets_its_password_and_then_everything_in_order() -> None:
    first = decide(observed(resource(), {}), DEFAULTS)
    secret = {SECRET: settled(resource())[SECRET]}
    second = decide(observed(resource(), secret), DEFAULTS)

    assert [identify(each) for each in first.generate] == [SECRET]
    assert first.writes == 1
    assert [identify(each) for each in second.apply] == [key for key in settled(resource()) if key != SECRET]


@pytest.mark.parametrize("key", sorted(settled(resource()), key=str), ids=str)
def test_a_child_that_lost_a_label_is_repaired_and_counts_as_drift(key: ObjectId) -> None:
    children = settled(resource())
    metadata = children[key]["metadata"]
    children[key] = {**children[key], "metadata": {**metadata, "labels": {}}}
    plan = decide(observed(resource(), children), DEFAULTS)

    assert [identify(each) for each in plan.apply] == [key]
    assert plan.drifted == {key}


def test_a_change_of_the_spec_is_applied_and_is_no_drift() -> None:
    plan = decide(observed(resource(replicas=5), settled(resource())), DEFAULTS)

    assert [identify(each) for each in plan.apply] == [DEPLOYMENT]
    assert not plan.drifted


def test_a_child_that_is_removed_after_the_first_reconciliation_is_drift() -> None:
    before = resource()
    known = replace(before, status=report(observed(before), decide(observed(before), DEFAULTS), Outcome(), MOMENT))
    children = {key: live for key, live in settled(before).items() if key != DEPLOYMENT}

    assert decide(observed(known, children), DEFAULTS).drifted == {DEPLOYMENT}
    assert not decide(observed(before, children), DEFAULTS).drifted


def test_a_foreign_object_is_named_and_never_written_while_the_rest_is_kept_right() -> None:
    children = settled(resource())
    children[DEPLOYMENT] = foreign(children[DEPLOYMENT])
    del children[ObjectId("Service", "support")]
    plan = decide(observed(resource(), children), DEFAULTS)

    assert plan.foreign == (DEPLOYMENT,)
    assert [identify(each) for each in plan.apply] == [("Service", "support")]
    assert not plan.prune


def test_a_foreign_secret_is_not_replaced_by_one_of_ours() -> None:
    children = settled(resource())
    children[SECRET] = foreign(children[SECRET])
    plan = decide(observed(resource(), children), DEFAULTS)

    assert plan.foreign == (SECRET,)
    assert not plan.generate


STATEFUL_SET = ObjectId("StatefulSet", "support-redis")


@pytest.mark.parametrize(
    ("key", "blocked"),
    [
        (ObjectId("ServiceAccount", "support"), (DEPLOYMENT,)),
        (ObjectId("ConfigMap", "support-runtime"), (DEPLOYMENT,)),
        (SECRET, (DEPLOYMENT, STATEFUL_SET)),
        (ObjectId("PersistentVolumeClaim", "support-redis"), (STATEFUL_SET,)),
        (ObjectId("Service", "support-redis"), (DEPLOYMENT, STATEFUL_SET)),
        (ObjectId("Service", "support"), ()),
        (ObjectId("PodDisruptionBudget", "support"), ()),
    ],
    ids=["account", "configuration", "password", "volume", "service of redis", "service", "budget"],
)
def test_a_workload_is_not_applied_while_its_pods_would_use_a_foreign_object(
    key: ObjectId, blocked: tuple[ObjectId, ...]
) -> None:
    """Neither when it is absent, nor to change one that runs."""
    theirs = foreign(settled(resource())[key])
    secret = {SECRET: settled(resource())[SECRET]}
    for seen in (observed(resource(), {**secret, key: theirs}), observed(resource(replicas=5))):
        plan = decide(replace(seen, children={**seen.children, key: theirs}), DEFAULTS)

        assert plan.foreign == (key,)
        assert dict(plan.blocked) == dict.fromkeys(blocked, key)
        assert not {identify(each) for each in plan.apply} & set(blocked)


def test_no_pod_is_pointed_to_the_configuration_of_someone_else() -> None:
    key = ObjectId("ConfigMap", "support-runtime")
    children = {**settled(resource()), key: foreign(settled(resource())[key])}
    pods = (Pod("old", report=pod_report("old", "0000")),)

    assert not decide(observed(resource(), children, pods=pods), DEFAULTS).refresh_config


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        (
            {"ownerReferences": [{"kind": "StatefulSet", "name": "db", "controller": True}]},
            "controlled by StatefulSet db",
        ),
        (
            {
                "ownerReferences": [{"kind": "Team", "name": "a"}],
                "managedFields": [{"manager": "b", "time": "2026-02"}, {"manager": "helm", "time": "2026-01"}],
            },
            "written by helm",
        ),
        ({}, "without a controller"),
    ],
)
def test_a_foreign_object_is_described_by_its_owner(metadata: Manifest, owner: str) -> None:
    assert describe_owner({"kind": "Service", "metadata": {"name": "support", **metadata}}) == owner


def test_what_may_not_be_read_is_not_written() -> None:
    children = {key: live for key, live in settled(resource()).items() if key != DEPLOYMENT}
    seen = replace(observed(resource(), children), unreadable={DEPLOYMENT: Refusal("forbidden")})

    assert decide(seen, DEFAULTS).writes == 0


@pytest.mark.parametrize(
    ("metadata", "ours"),
    [
        pytest.param({"ownerReferences": [{"uid": "uid-1", "controller": True}]}, True, id="controlled by us"),
        pytest.param({"ownerReferences": [{"uid": "uid-0", "controller": True}]}, False, id="of an earlier life"),
        pytest.param({"ownerReferences": [{"uid": "uid-1"}]}, False, id="owned, not controlled, not made by us"),
        pytest.param({}, False, id="nobody's"),
        pytest.param(
            {
                "labels": {names.LABEL_DEPLOYMENT: "support"},
                "managedFields": [{"manager": names.FIELD_MANAGER}],
            },
            True,
            id="made by us, and has lost its owner",
        ),
        pytest.param(
            {"labels": {names.LABEL_DEPLOYMENT: "support"}, "managedFields": [{"manager": GENERATE_MANAGER}]},
            True,
            id="a generated secret that has lost its owner",
        ),
        pytest.param(
            {"labels": {names.LABEL_DEPLOYMENT: "support"}, "managedFields": [{"manager": "helm"}]},
            False,
            id="made by somebody else with our label",
        ),
        pytest.param(
            {"labels": {names.LABEL_DEPLOYMENT: "other"}, "managedFields": [{"manager": names.FIELD_MANAGER}]},
            False,
            id="made by us for another",
        ),
    ],
)
def test_ours_is_what_we_control_or_have_made_and_nobody_controls(metadata: Manifest, ours: bool) -> None:  # noqa: FBT001
    assert is_ours({"kind": "Service", "metadata": {"name": "support", **metadata}}, resource()) is ours


def test_a_redis_that_is_no_longer_managed_goes_and_its_data_stay() -> None:
    external = resource(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    children = {**settled(resource()), **settled(external)}
    plan = decide(observed(external, children), DEFAULTS)

    kinds = {"PodDisruptionBudget", "Secret", "Service", "StatefulSet"}
    assert {deletion.id.kind for deletion in plan.prune} == kinds
    assert {deletion.id.name for deletion in plan.prune} == {"support-redis"}
    assert {deletion.uid for deletion in plan.prune} == {f"uid-{kind}" for kind in kinds}


def test_a_foreign_redis_of_our_name_is_not_pruned() -> None:
    external = resource(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    key = ObjectId("StatefulSet", "support-redis")
    children = {**settled(external), key: foreign(settled(resource())[key])}

    assert not decide(observed(external, children), DEFAULTS).prune


def test_what_is_already_being_deleted_is_not_deleted_again() -> None:
    external = resource(redis={"urlSecretRef": {"name": "own", "key": "url"}})
    key = ObjectId("StatefulSet", "support-redis")
    going = settled(resource())[key]
    going["metadata"]["deletionTimestamp"] = MOMENT

    assert not decide(observed(external, {**settled(external), key: going}), DEFAULTS).prune


VOLUME = ObjectId("PersistentVolumeClaim", "support-redis")


@pytest.mark.parametrize(
    ("redis", "replaced"),
    [
        ({"managed": {"storageClassName": "slow"}}, True),
        ({"managed": {"storage": "2Gi"}}, True),
        ({"managed": {}}, False),
        ({"urlSecretRef": {"name": "own", "key": "url"}}, False),
    ],
)
def test_a_claim_is_deleted_only_without_a_volume_and_only_as_it_was_seen(redis: Manifest, *, replaced: bool) -> None:
    """And nothing is applied to it meanwhile."""
    live = settled(resource())[VOLUME]
    metadata = {**live["metadata"], "resourceVersion": "7"}
    for phase, expected in (("Pending", replaced), ("Bound", False)):
        claim = {**live, "metadata": metadata, "status": {"phase": phase}}
        plan = decide(observed(resource(redis=redis), {**settled(resource()), VOLUME: claim}), DEFAULTS)
        deletion = Deletion(VOLUME, live["metadata"]["uid"], "7")

        assert [each for each in plan.prune if each.id == VOLUME] == ([deletion] if expected else [])
        assert not (expected and VOLUME in map(identify, plan.apply))


def test_an_emptied_password_secret_is_deleted_and_generated_anew() -> None:
    children = settled(resource())
    children[SECRET] = {**children[SECRET], "data": {"url": ""}}
    plan = decide(observed(resource(), children), DEFAULTS)

    assert [deletion.id for deletion in plan.prune] == [SECRET]


def test_pods_that_serve_an_older_configuration_are_pointed_to_the_new_one_once() -> None:
    config = decide(observed(resource()), DEFAULTS).desired
    assert config
    digest = config.config.digest()
    pods = (
        Pod("old", report=pod_report("old", "0000")),
        Pod("told", config_annotation=digest, report=pod_report("told", "0000")),
        Pod("new", report=pod_report("new", digest)),
        Pod("silent"),
        Pod("going", terminating=True, report=pod_report("going", "0000")),
    )

    assert decide(observed(resource(), pods=pods), DEFAULTS).refresh_config == ("old",)


def test_a_spec_that_cannot_be_read_changes_nothing() -> None:
    unread = replace(resource(), spec=None, problem="spec.models: Field required")

    assert decide(observed(unread, {}), DEFAULTS).writes == 0
