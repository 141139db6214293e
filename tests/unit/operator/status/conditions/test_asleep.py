"""Scaled to zero by its autoscaler: Ready when a request would be held and start a pod, and not Ready otherwise."""

from dataclasses import replace

import pytest

from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_contract.status import ConditionType
from chatfleet_operator.model.start_failure import Cause, StartFailure
from chatfleet_operator.model.values import Manifest, ObjectId, Observed, Outcome, Pod
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.reconcile.reconcile import requeue
from harness.kube.operated_cluster import DEFAULTS, foreign, pod_report
from unit.operator.status.conditions.test_autoscaling_active import (
    BUILTIN,
    DEPLOYMENT,
    FROM_ZERO,
    KEDA,
    READY,
    SCALED_OBJECT,
    TRIGGER_ERROR,
    condition,
    evaluate_conditions,
    seen,
)

ACTIVATOR = ObjectId("Deployment", "support-activator")
REDIS = ObjectId("StatefulSet", "support-redis")
PAUSED: Manifest = {"type": "Paused", "status": "True", "reason": "ScaledObjectPaused"}
CHECK_FAILED: Manifest = {"type": "Ready", "status": "False", "reason": "ScaledObjectCheckFailed", "message": "no"}


def with_status(snapshot: Observed, key: ObjectId, **status: int) -> Observed:
    live = snapshot.children[key]
    changed = {**live, "status": {**live.get("status", {}), **status}}
    return replace(snapshot, children={**snapshot.children, key: changed})


def asleep(*told: Manifest, autoscaling: Manifest = FROM_ZERO) -> Observed:
    """Return a snapshot of 0 replicas; `told` is what KEDA has in its status."""
    snapshot = seen(autoscaling, *told, pods=0)
    figures = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 0)
    return with_status(with_status(snapshot, DEPLOYMENT, **figures), ACTIVATOR, readyReplicas=1, replicas=1)


def waking(*told: Manifest) -> Observed:
    """Return a snapshot in which the first pod is to start."""
    snapshot = asleep(*told)
    live = snapshot.children[DEPLOYMENT]
    started = {**live, "spec": {**live["spec"], "replicas": 1}}
    return replace(snapshot, children={**snapshot.children, DEPLOYMENT: started}, pods=(Pod("support-0"),))


def draining(snapshot: Observed) -> Observed:
    going = Pod("support-0", terminating=True, report=pod_report("support-0", "0000", draining=True))
    return replace(snapshot, pods=(going,))


SLEEPS = asleep(READY)
NO_ACTIVATOR = with_status(SLEEPS, ACTIVATOR, readyReplicas=0)
FAILS = (StartFailure(Cause.IMAGE, "Pod support-activator-x: ErrImagePull."),)


@pytest.mark.parametrize(
    ("snapshot", "ready", "available", "words"),
    [
        pytest.param(
            SLEEPS, "True Asleep", "True Asleep", "Deployment support-activator holds requests", id="it works"
        ),
        pytest.param(
            asleep(TRIGGER_ERROR),
            "True Asleep",
            "True Asleep",
            "starts a pod",
            id="pods that do not exist have no metrics",
        ),
        pytest.param(
            NO_ACTIVATOR,
            "False NoReadyPods",
            "False NoReadyPods",
            "Deployment support-activator has 0 of 1 ready replicas.",
            id="the activator is not ready",
        ),
        pytest.param(
            replace(NO_ACTIVATOR, start_failures=FAILS),
            "False NoReadyPods",
            "False NoReadyPods",
            "ErrImagePull",
            id="the activator does not start",
        ),
        pytest.param(
            replace(SLEEPS, children={key: live for key, live in SLEEPS.children.items() if key != ACTIVATOR}),
            "False NoReadyPods",
            "False NoReadyPods",
            "Deployment support-activator is not rolled out yet.",
            id="there is no activator",
        ),
        pytest.param(
            draining(NO_ACTIVATOR),
            "Unknown Activating",
            "True Activating",
            "drain",
            id="the last pod drains and the activator is about to follow",
        ),
        pytest.param(
            asleep(), "Unknown Blocked", "True Asleep", "AutoscalingActive is Unknown", id="KEDA has no status yet"
        ),
        pytest.param(
            asleep(CHECK_FAILED),
            "False Blocked",
            "True Asleep",
            "AutoscalingActive is False",
            id="KEDA does not take it",
        ),
        pytest.param(asleep(READY, PAUSED), "False Blocked", "True Asleep", "ScaledObjectPaused", id="KEDA is paused"),
        pytest.param(
            replace(SLEEPS, children={**SLEEPS.children, SCALED_OBJECT: foreign(SLEEPS.children[SCALED_OBJECT])}),
            "False Blocked",
            "True Asleep",
            "AutoscalingActive is False",
            id="somebody else's ScaledObject",
        ),
        pytest.param(
            replace(SLEEPS, missing_secrets=(SecretKeyRef(name="llm-keys", key="openai"),)),
            "False Blocked",
            "True Asleep",
            "Secret llm-keys",
            id="a Secret is missing",
        ),
        pytest.param(
            with_status(SLEEPS, REDIS, readyReplicas=0),
            "Unknown Updating",
            "True Asleep",
            "StatefulSet support-redis",
            id="the managed Redis is not ready",
        ),
        pytest.param(waking(READY), "Unknown Activating", "True Activating", "until a pod is ready", id="a pod starts"),
        pytest.param(
            replace(waking(READY), start_failures=(StartFailure(Cause.UNSCHEDULABLE, "Pod support-0: no node fits."),)),
            "False NoReadyPods",
            "False NoReadyPods",
            "no node fits",
            id="the first pod cannot start",
        ),
    ],
)
def test_asleep_is_ready_only_while_a_request_would_start_a_pod(
    snapshot: Observed, ready: str, available: str, words: str
) -> None:
    status = evaluate_conditions(snapshot)
    found = {kind: condition(status, kind) for kind in ("Ready", "Available")}

    assert [f"{each.status.value} {each.reason}" for each in found.values()] == [ready, available]
    assert words in found["Ready"].message


@pytest.mark.parametrize("autoscaling", [BUILTIN, KEDA], ids=["builtin", "keda"])
def test_at_zero_replicas_without_an_activator_it_is_not_ready(autoscaling: Manifest) -> None:
    status = evaluate_conditions(seen(autoscaling, READY, pods=0))

    for kind in ("Ready", "Available"):
        found = condition(status, kind)
        assert (found.status.value, found.reason) == ("False", "ScaledToZero")
    assert condition(status, "Ready").message.endswith("is scaled to 0 replicas. See AutoscalingActive.")


def test_nothing_is_under_way_while_it_sleeps() -> None:
    status = evaluate_conditions(SLEEPS)

    assert condition(status, ConditionType.PROGRESSING).reason == "Complete"
    assert requeue(decide(SLEEPS, DEFAULTS), Outcome(), status).requeue.name == "SETTLED"
