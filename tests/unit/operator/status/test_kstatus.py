"""Tools that wait by kstatus judge correctly: each row is a situation, first seen now and then for a while."""

from dataclasses import replace

import pytest

from chatfleet_contract.crd import NOT_OBSERVED
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_contract.status import ChatDeploymentStatus, ConditionStatus
from chatfleet_operator.model.conflict import Conflict, Writer
from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.start_failure import Cause, StartFailure
from chatfleet_operator.model.values import ObjectId, Observed, Outcome, ProbeResult
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.status.conditions.stalled import NEEDS_CHANGE
from chatfleet_operator.status.report import report
from harness.kube.kstatus import kstatus
from harness.kube.operated_cluster import DEFAULTS, MOMENT, foreign, observed, resource, settled
from unit.operator.status.conditions.test_asleep import NO_ACTIVATOR, SLEEPS
from unit.operator.status.test_conditions import (
    DEPLOYMENT,
    LATE,
    NO_PODS,
    condition,
    down,
    serving,
    status_and_reason,
    with_child,
    with_report,
)

SOON, LATER = "2026-01-02T03:04:10Z", "2026-01-02T03:04:25Z"
ROLLING_OUT = with_child(serving(), DEPLOYMENT, updatedReplicas=1)
PAUSED = replace(resource(), paused=True)
MISSPELLED = replace(resource(), annotation_problem="chatfleet.io/reconcile is Paused, which has no effect.")


def other_volume() -> Observed:
    """Return a snapshot whose volume has another class than the spec."""
    seen = serving(resource(redis={"managed": {"storageClassName": "slow"}}))
    key = ObjectId("PersistentVolumeClaim", "support-redis")
    claim = seen.children[key]
    spec = {**claim["spec"], "volumeName": "pv-1", "storageClassName": "fast"}
    return replace(seen, children={**seen.children, key: {**claim, "spec": spec}})


OTHER_VOLUME = other_volume()


def failing(cause: Cause, seen: Observed = NO_PODS) -> Observed:
    return replace(seen, start_failures=(StartFailure(cause, "the cluster's own words"),))


def later(seen: Observed, outcome: Outcome) -> list[ChatDeploymentStatus]:
    """Return the statuses of three reconciliations of the same situation."""
    statuses = []
    for now in (MOMENT, SOON, LATER):
        status = report(seen, decide(seen, DEFAULTS), outcome, now)
        seen = replace(seen, resource=replace(seen.resource, status=status))
        statuses.append(status)
    return statuses


def judged(status: ChatDeploymentStatus) -> str:
    return kstatus({"metadata": {"generation": 1}, "status": status.document()})


ROWS = [
    pytest.param(serving(), Outcome(), "Current Current Current", id="all is well"),
    pytest.param(observed(resource(), {}), Outcome(), "InProgress InProgress InProgress", id="just applied"),
    pytest.param(ROLLING_OUT, Outcome(), "InProgress InProgress InProgress", id="a rollout"),
    pytest.param(SLEEPS, Outcome(), "Current Current Current", id="scaled to zero by its autoscaler"),
    pytest.param(NO_ACTIVATOR, Outcome(), "InProgress InProgress InProgress", id="the activator is not ready"),
    pytest.param(
        replace(serving(), probe=ProbeResult(frozenset({"default"}), "0000")),
        Outcome(),
        "InProgress InProgress InProgress",
        id="an earlier configuration is served",
    ),
    pytest.param(
        serving(), Outcome(unfinished="timeout"), "InProgress InProgress InProgress", id="the API server is overloaded"
    ),
    pytest.param(
        replace(serving(), resource=replace(resource(), spec=None, problem="spec.models: Field required")),
        Outcome(),
        "InProgress InProgress Failed",
        id="the spec cannot be read",
    ),
    pytest.param(
        replace(serving(), children={**settled(resource()), DEPLOYMENT: foreign(settled(resource())[DEPLOYMENT])}),
        Outcome(),
        "InProgress InProgress Failed",
        id="somebody else's Deployment",
    ),
    pytest.param(
        replace(serving(), missing_secrets=(SecretKeyRef(name="llm-keys", key="openai"),)),
        Outcome(),
        "InProgress InProgress Failed",
        id="a Secret is missing",
    ),
    pytest.param(
        serving(),
        Outcome(refused={ObjectId("Service", "support"): Refusal("denied by a policy")}),
        "InProgress InProgress Failed",
        id="a child is rejected",
    ),
    pytest.param(failing(Cause.IMAGE), Outcome(), "InProgress InProgress Failed", id="an image that does not exist"),
    pytest.param(
        failing(Cause.CRASH, ROLLING_OUT), Outcome(), "InProgress InProgress Failed", id="new pods of a rollout crash"
    ),
    pytest.param(
        failing(Cause.UNSCHEDULABLE),
        Outcome(),
        "InProgress InProgress InProgress",
        id="a cluster without room, which may grow",
    ),
    pytest.param(
        failing(Cause.NODE_LOST), Outcome(), "InProgress InProgress InProgress", id="a node that may come back"
    ),
    pytest.param(
        failing(Cause.CRASH, serving()), Outcome(), "Current Current Current", id="a pod that an autoscaler has added"
    ),
    pytest.param(
        failing(Cause.UNSCHEDULABLE, with_child(ROLLING_OUT, DEPLOYMENT, conditions=LATE)),
        Outcome(),
        "Failed Failed Failed",
        id="the deadline of the rollout is over",
    ),
    pytest.param(
        with_report(serving(), 0, redis=down("refused")),
        Outcome(),
        "InProgress InProgress InProgress",
        id="an outage of Redis",
    ),
    pytest.param(
        serving(upstreams={"scripted": down("timeout")}),
        Outcome(),
        "InProgress InProgress InProgress",
        id="an outage of all upstreams",
    ),
    pytest.param(
        replace(serving(), resource=MISSPELLED), Outcome(), "Current Current Current", id="an annotation without effect"
    ),
    pytest.param(
        replace(ROLLING_OUT, resource=MISSPELLED),
        Outcome(),
        "InProgress InProgress InProgress",
        id="a rollout, and an annotation without effect",
    ),
    pytest.param(OTHER_VOLUME, Outcome(), "Current Current Current", id="another volume than that of the spec"),
    pytest.param(
        replace(OTHER_VOLUME, missing_secrets=(SecretKeyRef(name="llm-keys", key="openai"),)),
        Outcome(),
        "InProgress InProgress Failed",
        id="another volume, and a Secret is missing",
    ),
    pytest.param(replace(serving(), resource=PAUSED), Outcome(), "Current Current Current", id="paused, unchanged"),
    pytest.param(observed(PAUSED, {}), Outcome(), "Failed Failed Failed", id="paused while a change of the spec waits"),
]


@pytest.mark.parametrize(("seen", "outcome", "expected"), ROWS)
def test_tools_that_wait_by_kstatus_judge_correctly(seen: Observed, outcome: Outcome, expected: str) -> None:
    assert " ".join(map(judged, later(seen, outcome))) == expected


@pytest.mark.parametrize(("seen", "outcome", "expected"), ROWS)
def test_reconciling_and_stalled_are_present_only_while_they_are_true_and_never_together(
    seen: Observed, outcome: Outcome, expected: str
) -> None:
    for status, state in zip(later(seen, outcome), expected.split(), strict=True):
        present = [each for each in status.conditions or () if each.type in {"Reconciling", "Stalled"}]
        assert {each.status for each in present} <= {ConditionStatus.TRUE}
        assert len(present) <= 1
        assert state != "Current" or present == []


def test_what_was_not_reconciled_yet_is_in_progress() -> None:
    assert kstatus({"metadata": {"generation": 1}, "status": NOT_OBSERVED}) == "InProgress"


def test_stalled_names_the_condition_its_reason_and_its_message() -> None:
    missing = replace(serving(), missing_secrets=(SecretKeyRef(name="llm-keys", key="openai"),))
    stalled = condition(later(missing, Outcome())[-1], "Stalled")

    assert stalled.message.startswith("ConfigurationValid is False (SecretMissing): Missing: key openai of Secret llm-")
    for cause in NEEDS_CHANGE:
        status = later(failing(cause), Outcome())[-1]
        assert status_and_reason(status, "Stalled") == "True Blocked"
        assert "the cluster's own words" in condition(status, "Stalled").message


def test_another_client_that_undoes_each_repair_stalls() -> None:
    seen, states = serving(), []
    for now in (MOMENT, SOON, LATER):
        conflict = Conflict("Deployment", "support", Writer("argocd-controller"), "spec.paused", "chatfleet-system")
        status = report(seen, replace(decide(seen, DEFAULTS), conflicts=(conflict,)), Outcome(), now)
        seen = replace(seen, resource=replace(seen.resource, status=status))
        states.append(judged(status))
    assert states == ["Current", "Current", "Failed"]


def test_stalled_ends_with_its_cause() -> None:
    missing = replace(serving(), missing_secrets=(SecretKeyRef(name="llm-keys", key="openai"),))
    stalled = later(missing, Outcome())[-1]
    healed = serving(replace(resource(), status=stalled))

    assert judged(stalled) == "Failed"
    assert judged(report(healed, decide(healed, DEFAULTS), Outcome(), LATER)) == "Current"
