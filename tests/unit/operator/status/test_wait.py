"""A wait for Ready never returns before chats succeed: each fault, and each two of them, keep Ready from True."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from chatfleet_contract.report import ModelOutcome, State
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_contract.status import ChatDeploymentStatus, ConditionStatus
from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.values import ObjectId, Observed, Outcome, Pod
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.status.report import report
from harness.kube.operated_cluster import DEFAULTS, MOMENT, UP, foreign, pod_report, resource
from unit.operator.status.test_conditions import (
    DEPLOYMENT,
    STATEFUL_SET,
    TWO_PROVIDERS,
    UNKNOWN,
    condition,
    digest_of,
    down,
    evaluate_conditions,
    serving,
    with_child,
)

Fault = Callable[[Observed], Observed]
BOTH = {"one": UP, "two": UP}
SERVICE = ObjectId("Service", "support")


SOUND = serving(resource(**TWO_PROVIDERS), upstreams=BOTH)
PLAN = decide(SOUND, DEFAULTS)


def workload(key: ObjectId = DEPLOYMENT, **figures: int) -> Fault:
    return lambda seen: with_child(seen, key, **figures)


def pod_reports(**told: Any) -> Fault:  # noqa: ANN401  # any field of a report
    """Return the fault that one of two ready pods reports `told`."""

    def change(seen: Observed) -> Observed:
        first = seen.pods[0]
        report = (first.report or pod_report("pod-0", digest_of(seen.resource), upstreams=BOTH)).model_copy(update=told)
        return replace(seen, pods=(replace(first, report=report), *seen.pods[1:]))

    return change


def unreadable(seen: Observed) -> Observed:
    return replace(seen, pods=(seen.pods[0], replace(seen.pods[1], report=None)))


def probe(**changes: Any) -> Fault:  # noqa: ANN401  # any field of a result
    good = SOUND.probe
    assert good
    return lambda seen: replace(seen, probe=replace(good, **changes))


def not_ours(seen: Observed) -> Observed:
    return replace(seen, children={**seen.children, SERVICE: foreign(seen.children[SERVICE])})


FAULTS: dict[str, Fault] = {
    "pods of an earlier template serve": workload(updatedReplicas=1),
    "a pod of an earlier template is still there": workload(replicas=3),
    "the figures are about an earlier generation": workload(observedGeneration=0),
    "a pod of the rollout is not ready": workload(readyReplicas=1),
    "a pod of the rollout is not available": workload(availableReplicas=1),
    "the managed Redis restarts": workload(STATEFUL_SET, readyReplicas=0),
    "a pod serves an earlier configuration": pod_reports(config="0000"),
    "a pod has rejected the configuration": pod_reports(config="0000", config_error="models: empty"),
    "a pod cannot be read": unreadable,
    "a pod cannot use Redis": pod_reports(redis=down("refused")),
    "a pod has not checked Redis": pod_reports(redis=UNKNOWN),
    "the URL of Redis is not valid": pod_reports(redis_url_error="no scheme"),
    "a pod has not checked its upstreams": pod_reports(upstreams={}),
    "a pod has not checked one of its upstreams": pod_reports(upstreams={"one": UP, "two": UNKNOWN}),
    "a pod reaches no upstream": pod_reports(upstreams={"one": down("timeout"), "two": down("timeout")}),
    "requests for all models fail": pod_reports(
        models={
            "a": ModelOutcome(provider="one", state=State.DOWN, seconds=1, failing_seconds=9),
            "b": ModelOutcome(provider="two", state=State.DOWN, seconds=1, failing_seconds=9),
        }
    ),
    "the Service has no address": lambda seen: replace(seen, probe=None),
    "the request through the Service failed": probe(problem="HTTP 503"),
    "the request was answered with an earlier configuration": probe(config="0000"),
    "the request did not list a model": probe(models=frozenset({"a"})),
    "a Secret is missing": lambda seen: replace(seen, missing_secrets=(SecretKeyRef(name="s", key="k"),)),
    "a child may not be read": lambda seen: replace(seen, unreadable={SERVICE: Refusal("forbidden")}),
    "somebody else's Service": not_ours,
    "the spec cannot be read": lambda seen: replace(seen, resource=replace(seen.resource, spec=None, problem="?")),
}


PLANNED = {"a child may not be read", "somebody else's Service", "the spec cannot be read"}


def is_ready(seen: Observed) -> bool:
    return condition(report(seen, PLAN, Outcome(), MOMENT), "Ready").status is ConditionStatus.TRUE


def ready(seen: Observed, outcome: Outcome | None = None) -> bool:
    return condition(evaluate_conditions(seen, outcome), "Ready").status is ConditionStatus.TRUE


def test_without_a_fault_the_wait_returns_and_is_about_the_current_generation() -> None:
    status = evaluate_conditions(replace(SOUND, resource=replace(SOUND.resource, generation=7)))

    assert condition(status, "Ready").status is ConditionStatus.TRUE
    assert condition(status, "Ready").observed_generation == status.observed_generation == 7


@pytest.mark.parametrize("name", FAULTS)
def test_the_wait_does_not_return_while_chats_may_fail(name: str) -> None:
    assert not ready(FAULTS[name](SOUND))


def test_two_faults_do_not_hide_each_other() -> None:
    """But for those that change the plan, which takes long to make."""
    found = {name for name in FAULTS if name not in PLANNED}
    pairs = [(one, two) for one, two in combinations(sorted(found), 2) if is_ready(FAULTS[two](FAULTS[one](SOUND)))]

    assert pairs == []


@pytest.mark.parametrize(
    "outcome", [Outcome(unfinished="timeout"), Outcome(refused={SERVICE: Refusal("denied")})], ids=["late", "refused"]
)
def test_the_wait_does_not_return_before_every_object_is_accepted(outcome: Outcome) -> None:
    assert not ready(SOUND, outcome)


def after(status: ChatDeploymentStatus, seen: Observed, generation: int = 1) -> Observed:
    return replace(seen, resource=replace(seen.resource, status=status, generation=generation))


@pytest.mark.parametrize(
    "name",
    ["a pod has not checked Redis", "a pod has not checked its upstreams", "a pod reaches no upstream"],
)
def test_a_pod_that_is_added_later_does_not_take_ready_back_while_it_checks(name: str) -> None:
    first = evaluate_conditions(SOUND)
    added = FAULTS[name](SOUND)

    assert ready(after(first, added))
    assert not ready(after(first, added, generation=2))


def test_a_pod_that_gets_no_requests_is_not_waited_for() -> None:
    starting = Pod("pod-2", report=pod_report("pod-2", digest_of(SOUND.resource), redis=UNKNOWN, upstreams={}))
    seen = SOUND

    assert ready(replace(seen, pods=(*seen.pods, starting)))


def test_the_message_names_the_pod_and_what_it_has_not_checked() -> None:
    def message(name: str) -> str:
        return condition(evaluate_conditions(FAULTS[name](SOUND), now=MOMENT), "Ready").message

    assert message("a pod has not checked Redis") == "Pod pod-0 has not checked Redis yet. See RedisAvailable."
    assert message("a pod has not checked one of its upstreams") == (
        "Pod pod-0 has not checked upstream two yet. See UpstreamsAvailable."
    )
    assert message("a pod reaches no upstream") == "Pod pod-0 has no available upstream. See UpstreamsAvailable."
