"""Available stays True as long as any pods serve; each row is a situation that an SRE may meet."""

from dataclasses import replace
from typing import Any

import pytest

from chatfleet_contract.report import Dependency, ModelOutcome, State
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.start_failure import Cause, StartFailure
from chatfleet_operator.model.values import ObjectId, Observed, Outcome, Pod, ProbeResult
from harness.kube.operated_cluster import UP, observed, resource
from unit.operator.status.test_conditions import (
    DEPLOYMENT,
    LATE,
    NO_PODS,
    STATEFUL_SET,
    TWO_PROVIDERS,
    UNKNOWN,
    condition,
    down,
    evaluate_conditions,
    serving,
    status_and_reason,
    with_child,
    with_report,
    without,
)

FAILING = ModelOutcome(provider="gone", state=State.DOWN, message="HTTP 404")
BROKEN_NEW_POD = replace(serving(), pods=(*serving().pods, Pod("new")))
"""An old generation serves, and the pod of the new one does not become ready."""


def earlier(**told: Any) -> Observed:  # noqa: ANN401  # any field of a report
    """Return a snapshot in which both pods serve a configuration whose provider the spec no longer has."""
    seen = serving()
    for pod in range(2):
        seen = with_report(seen, pod, config="earlier", **{"upstreams": {"gone": UP}, **told})
    return seen


@pytest.mark.parametrize(
    ("seen", "outcome", "expected", "ready"),
    [
        pytest.param(serving(), Outcome(), "True Serving", "True Serving", id="all is well"),
        pytest.param(
            with_child(serving(), DEPLOYMENT, updatedReplicas=1),
            Outcome(),
            "True Serving",
            "Unknown Updating",
            id="a rollout",
        ),
        pytest.param(
            with_child(serving(resource(replicas=5)), DEPLOYMENT, updatedReplicas=2, readyReplicas=2),
            Outcome(),
            "True Serving",
            "Unknown Updating",
            id="a scale-up",
        ),
        pytest.param(
            replace(
                with_child(BROKEN_NEW_POD, DEPLOYMENT, replicas=3, updatedReplicas=1, conditions=LATE),
                start_failures=(StartFailure(Cause.CRASH, "Pod new: exit code 1."),),
            ),
            Outcome(),
            "True Serving",
            "Unknown Updating",
            id="a rollout with broken new pods",
        ),
        pytest.param(earlier(), Outcome(), "True Serving", "Unknown Updating", id="an earlier configuration serves"),
        pytest.param(
            earlier(upstreams={"gone": down("HTTP 401")}),
            Outcome(),
            "False Blocked",
            "Unknown Updating",
            id="an earlier configuration whose provider is down",
        ),
        pytest.param(
            earlier(models={"old": FAILING}),
            Outcome(),
            "False Blocked",
            "Unknown Updating",
            id="an earlier configuration whose model does not exist",
        ),
        pytest.param(
            replace(serving(), probe=ProbeResult(frozenset({"default"}), "0000")),
            Outcome(),
            "True Serving",
            "Unknown Updating",
            id="the Service answered with an earlier configuration",
        ),
        pytest.param(
            replace(serving(), missing_secrets=(SecretKeyRef(name="llm-keys", key="openai"),)),
            Outcome(),
            "True Serving",
            "False Blocked",
            id="a Secret is missing and the pods serve",
        ),
        pytest.param(
            serving(),
            Outcome(refused={ObjectId("Service", "support"): Refusal("exceeded quota: services")}),
            "True Serving",
            "False Blocked",
            id="a change was rejected",
        ),
        pytest.param(
            serving(),
            Outcome(unfinished="timeout"),
            "True Serving",
            "Unknown Updating",
            id="the API server did not take everything",
        ),
        pytest.param(
            replace(serving(), resource=replace(resource(), spec=None, problem="spec.models: Field required")),
            Outcome(),
            "True Serving",
            "False Blocked",
            id="the spec cannot be read",
        ),
        pytest.param(
            with_report(serving(), 0, redis=down("refused")),
            Outcome(),
            "True Serving",
            "False Blocked",
            id="one pod cannot use Redis",
        ),
        pytest.param(
            with_child(serving(redis=down("refused")), STATEFUL_SET, readyReplicas=0),
            Outcome(),
            "False Blocked",
            "Unknown Updating",
            id="no pod can use Redis",
        ),
        pytest.param(
            serving(upstreams={"scripted": down("HTTP 401")}),
            Outcome(),
            "False Blocked",
            "False Blocked",
            id="no model can answer",
        ),
        pytest.param(
            serving(resource(**TWO_PROVIDERS), upstreams={"one": down("HTTP 401"), "two": UP}),
            Outcome(),
            "True Serving",
            "True Serving",
            id="one of two models can answer",
        ),
        pytest.param(
            serving(upstreams={"scripted": UNKNOWN}),
            Outcome(),
            "Unknown Blocked",
            "Unknown Blocked",
            id="no pod has checked an upstream",
        ),
        pytest.param(
            replace(serving(), pods=tuple(replace(pod, report=None) for pod in serving().pods)),
            Outcome(),
            "Unknown Blocked",
            "Unknown Updating",
            id="no pod can be read",
        ),
        pytest.param(NO_PODS, Outcome(), "False NoReadyPods", "False NoReadyPods", id="no pod is ready"),
        pytest.param(observed(resource(), {}), Outcome(), "False NoReadyPods", "False NoReadyPods", id="just applied"),
        pytest.param(
            replace(serving(), probe=ProbeResult(problem="HTTP 500")),
            Outcome(),
            "False RequestFailed",
            "False RequestFailed",
            id="requests fail",
        ),
        pytest.param(
            replace(serving(), probe=None),
            Outcome(),
            "False RequestFailed",
            "Unknown Updating",
            id="the Service has no address",
        ),
        pytest.param(
            replace(serving(resource(suspend=True)), pods=(), probe=None),
            Outcome(),
            "False Suspended",
            "False Suspended",
            id="suspended",
        ),
        pytest.param(
            replace(serving(resource(replicas=0)), pods=(), probe=None),
            Outcome(),
            "False ScaledToZero",
            "False ScaledToZero",
            id="scaled to zero",
        ),
        pytest.param(
            without(serving(), DEPLOYMENT),
            Outcome(refused={DEPLOYMENT: Refusal("denied")}),
            "True Serving",
            "False Blocked",
            id="the Deployment cannot be written and its pods serve",
        ),
    ],
)
def test_available_is_what_clients_meet(seen: Observed, outcome: Outcome, expected: str, ready: str) -> None:
    status = evaluate_conditions(seen, outcome)

    assert (status_and_reason(status, "Available"), status_and_reason(status, "Ready")) == (expected, ready)


def test_the_message_counts_the_pods_and_names_the_request() -> None:
    message = condition(evaluate_conditions(serving()), "Available").message

    assert message == "2 pods are ready, and GET /v1/models through Service support was answered."


def test_a_pod_that_is_not_ready_does_not_count() -> None:
    """It may be the new one, which cannot use Redis or an upstream, or an old one that no longer can."""
    odd = Dependency(state=State.DOWN, message="refused")
    seen = with_report(serving(redis=odd), 0, redis=UP)
    seen = replace(seen, pods=(replace(seen.pods[0], ready=False), seen.pods[1]))

    assert status_and_reason(evaluate_conditions(seen), "Available") == "False Blocked"
