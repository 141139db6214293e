"""What the conditions say: each row is a situation that an SRE may meet."""

from dataclasses import replace
from typing import Any

import pytest

from chatfleet_contract.report import Dependency, PodReport, State
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_contract.status import MAX_CONDITION_MESSAGE, ChatDeploymentStatus, Condition, ConditionType
from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.start_failure import Cause, StartFailure
from chatfleet_operator.model.values import Manifest, ObjectId, Observed, Outcome, Pod, ProbeResult, Resource
from chatfleet_operator.reconcile.decide import decide
from chatfleet_operator.status.report import report, transitions
from harness.kube.operated_cluster import DEFAULTS, MOMENT, foreign, observed, pod_report, resource, settled

DEPLOYMENT = ObjectId("Deployment", "support")
STATEFUL_SET = ObjectId("StatefulSet", "support-redis")
CONFIG_MAP = ObjectId("ConfigMap", "support-runtime")
LATER = "2026-01-02T04:00:00Z"
DETAILS = (
    ConditionType.READY,
    ConditionType.PROGRESSING,
    ConditionType.CONFIGURATION_VALID,
    ConditionType.REDIS_AVAILABLE,
    ConditionType.UPSTREAMS_AVAILABLE,
    ConditionType.AUTOSCALING_ACTIVE,
)
"""The conditions of the table below; those that summarize them have tables of their own (`conditions/`)."""


def down(message: str) -> Dependency:
    return Dependency(state=State.DOWN, message=message)


UNKNOWN = Dependency(state=State.UNKNOWN)
UP = Dependency(state=State.UP)

TWO_PROVIDERS: dict[str, Any] = {
    "providers": [
        {"name": "one", "type": "scripted"},
        {"name": "two", "type": "scripted"},
    ],
    "models": [
        {"name": "a", "provider": "one", "model": "m", "fallbacks": ["b"]},
        {"name": "b", "provider": "two", "model": "m"},
    ],
}


def digest_of(seen: Resource) -> str:
    wanted = decide(observed(seen), DEFAULTS).desired
    assert wanted
    return wanted.config.digest()


def serving(seen: Resource | None = None, **told: Any) -> Observed:  # noqa: ANN401  # any field of a report
    """Return a snapshot in which all is well; `told` is what both pods report."""
    seen = seen or resource()
    assert seen.spec
    digest = digest_of(seen)
    pods = tuple(Pod(name, ready=True, report=pod_report(name, digest, **told)) for name in ("pod-0", "pod-1"))
    probe = ProbeResult(frozenset(model.name for model in seen.spec.models), digest)
    return observed(seen, pods=pods, probe=probe)


def evaluate_conditions(seen: Observed, outcome: Outcome | None = None, now: str = MOMENT) -> ChatDeploymentStatus:
    return report(seen, decide(seen, DEFAULTS), outcome or Outcome(), now)


def condition(status: ChatDeploymentStatus, kind: str) -> Condition:
    return next(each for each in status.conditions or () if each.type == kind)


def status_and_reason(status: ChatDeploymentStatus, kind: str) -> str:
    found = condition(status, kind)
    return f"{found.status.value} {found.reason}"


def with_child(seen: Observed, key: ObjectId, **status: Any) -> Observed:  # noqa: ANN401  # JSON
    live = seen.children[key]
    changed = {**live, "status": {**live.get("status", {}), **status}}
    return replace(seen, children={**seen.children, key: changed})


def with_report(seen: Observed, pod: int, **told: Any) -> Observed:  # noqa: ANN401  # any field of a report
    pods = list(seen.pods)
    before = pods[pod].report
    assert before
    pods[pod] = replace(pods[pod], report=before.model_copy(update=told))
    return replace(seen, pods=tuple(pods))


def without(seen: Observed, key: ObjectId) -> Observed:
    return replace(seen, children={known: live for known, live in seen.children.items() if known != key})


LATE: list[Manifest] = [{"type": "Progressing", "status": "False", "message": "ReplicaSet is stuck"}]
VOLUME = "PersistentVolumeClaim support-redis is Lost."
QUOTA = 'Deployment support: pods "support-1" is forbidden: exceeded quota: small.'
NO_PODS = replace(with_child(serving(), DEPLOYMENT, readyReplicas=0, availableReplicas=0), pods=(), probe=None)


@pytest.mark.parametrize(
    ("seen", "outcome", "expected"),
    [
        pytest.param(
            serving(),
            Outcome(),
            "True Serving · False Complete · True Valid · True Connected · True Available · False Disabled",
            id="all is well",
        ),
        pytest.param(
            observed(resource(), {}),
            Outcome(),
            "False NoReadyPods · True RollingOut · True Valid · Unknown NoPodReport · Unknown NoPodReport"
            " · False Disabled",
            id="just applied",
        ),
        pytest.param(
            NO_PODS,
            Outcome(),
            "False NoReadyPods · True RollingOut · True Valid · Unknown NoPodReport · Unknown NoPodReport"
            " · False Disabled",
            id="no pod is ready",
        ),
        pytest.param(
            replace(serving(resource(suspend=True)), pods=(), probe=None),
            Outcome(),
            "False Suspended · False Complete · True Valid · Unknown NoPodReport · Unknown NoPodReport"
            " · False Disabled",
            id="suspended",
        ),
        pytest.param(
            replace(serving(resource(replicas=0)), pods=(), probe=None),
            Outcome(),
            "False ScaledToZero · False Complete · True Valid · Unknown NoPodReport · Unknown NoPodReport"
            " · False Disabled",
            id="scaled to zero",
        ),
        pytest.param(
            with_child(serving(), DEPLOYMENT, updatedReplicas=1),
            Outcome(),
            "Unknown Updating · True RollingOut · True Valid · True Connected · True Available · False Disabled",
            id="an earlier template still serves",
        ),
        pytest.param(
            with_child(serving(), DEPLOYMENT, replicas=3),
            Outcome(),
            "Unknown Updating · True RollingOut · True Valid · True Connected · True Available · False Disabled",
            id="a pod of the earlier template is still there",
        ),
        pytest.param(
            with_child(serving(), DEPLOYMENT, observedGeneration=0),
            Outcome(),
            "Unknown Updating · True RollingOut · True Valid · True Connected · True Available · False Disabled",
            id="the figures of the Deployment are about an earlier generation",
        ),
        pytest.param(
            with_child(serving(), DEPLOYMENT, readyReplicas=1, conditions=LATE),
            Outcome(),
            "Unknown Updating · False DeadlineExceeded · True Valid · True Connected · True Available · False Disabled",
            id="a rollout is late",
        ),
        pytest.param(
            with_child(serving(), DEPLOYMENT, conditions=LATE),
            Outcome(),
            "True Serving · False Complete · True Valid · True Connected · True Available · False Disabled",
            id="a rollout was late and has ended",
        ),
        pytest.param(
            replace(NO_PODS, start_failures=(StartFailure(Cause.NOT_CREATED, QUOTA),)),
            Outcome(),
            "False NoReadyPods · False FailedCreate · True Valid · Unknown NoPodReport · Unknown NoPodReport"
            " · False Disabled",
            id="no pod is created",
        ),
        pytest.param(
            replace(
                with_child(serving(), DEPLOYMENT, readyReplicas=1, conditions=LATE),
                start_failures=(StartFailure(Cause.IMAGE, "Pod pod-1: ErrImagePull."),),
            ),
            Outcome(),
            "Unknown Updating · False ImagePullFailed · True Valid · True Connected · True Available · False Disabled",
            id="a rollout is late, and its cause has a name",
        ),
        pytest.param(
            replace(serving(), start_failures=(StartFailure(Cause.UNSCHEDULABLE, "Pod pod-2: no node fits."),)),
            Outcome(),
            "True Serving · False Unschedulable · True Valid · True Connected · True Available · False Disabled",
            id="the pod that an autoscaler has added does not start",
        ),
        pytest.param(
            with_child(serving(), STATEFUL_SET, readyReplicas=0),
            Outcome(),
            "Unknown Updating · True RollingOut · True Valid · True Connected · True Available · False Disabled",
            id="the managed Redis restarts",
        ),
        pytest.param(
            with_report(serving(), 1, config="0000"),
            Outcome(),
            "Unknown Updating · True RollingOut · True Valid · True Connected · True Available · False Disabled",
            id="one pod serves an earlier configuration",
        ),
        pytest.param(
            with_report(serving(), 1, config="0000", config_error="models: empty"),
            Outcome(),
            "False Blocked · True RollingOut · False InvalidSpec · True Connected · True Available · False Disabled",
            id="one pod could not take the configuration",
        ),
        pytest.param(
            replace(serving(), probe=None),
            Outcome(),
            "Unknown Updating · False Complete · True Valid · True Connected · True Available · False Disabled",
            id="the Service has no address",
        ),
        pytest.param(
            replace(serving(), probe=ProbeResult(problem="HTTP 500")),
            Outcome(),
            "False RequestFailed · False Complete · True Valid · True Connected · True Available · False Disabled",
            id="the request through the Service failed",
        ),
        pytest.param(
            replace(serving(), probe=ProbeResult(frozenset({"default"}), "0000")),
            Outcome(),
            "Unknown Updating · False Complete · True Valid · True Connected · True Available · False Disabled",
            id="the Service answered with an earlier configuration",
        ),
        pytest.param(
            replace(serving(), probe=ProbeResult(frozenset(), digest_of(resource()))),
            Outcome(),
            "False RequestFailed · False Complete · True Valid · True Connected · True Available · False Disabled",
            id="the Service did not list a model",
        ),
        pytest.param(
            with_report(serving(), 0, redis=down("connection refused")),
            Outcome(),
            "False Blocked · False Complete · True Valid · False Unavailable · True Available · False Disabled",
            id="one pod does not reach Redis",
        ),
        pytest.param(
            serving(redis=Dependency(state=State.UP, message="maxmemory-policy is unknown")),
            Outcome(),
            "True Serving · False Complete · True Valid · True Connected · True Available · False Disabled",
            id="Redis does not show whether it evicts",
        ),
        pytest.param(
            serving(redis=UNKNOWN),
            Outcome(),
            "Unknown Blocked · False Complete · True Valid · Unknown NoPodReport · True Available · False Disabled",
            id="nobody has tried Redis yet",
        ),
        pytest.param(
            serving(resource(**TWO_PROVIDERS), upstreams={"one": down("HTTP 401")}),
            Outcome(),
            "Unknown Blocked · False Complete · True Valid · True Connected · False Unavailable · False Disabled",
            id="one upstream is down and nothing is known of the fallback",
        ),
        pytest.param(
            serving(redis_url_error="the URL of Redis must be redis://host"),
            Outcome(),
            "False Blocked · False Complete · False SecretInvalid · True Connected · True Available · False Disabled",
            id="the next start of a pod cannot use Redis",
        ),
        pytest.param(
            serving(upstreams={"scripted": UNKNOWN}),
            Outcome(),
            "Unknown Blocked · False Complete · True Valid · True Connected · Unknown NoPodReport · False Disabled",
            id="no upstream was checked yet, or the checks do not run",
        ),
        pytest.param(
            serving(upstreams={"scripted": down("HTTP 401")}),
            Outcome(),
            "False Blocked · False Complete · True Valid · True Connected · False Unavailable · False Disabled",
            id="no model can answer",
        ),
        pytest.param(
            serving(upstreams={"scripted": Dependency(state=State.UP, message="only the connection was checked")}),
            Outcome(),
            "True Serving · False Complete · True Valid · True Connected · True Available · False Disabled",
            id="an upstream answers, and not all of it is proven",
        ),
        pytest.param(
            serving(resource(**TWO_PROVIDERS), upstreams={"one": down("HTTP 401"), "two": UP}),
            Outcome(),
            "True Serving · False Complete · True Valid · True Connected · False Unavailable · False Disabled",
            id="one upstream is down and the fallback can answer",
        ),
        pytest.param(
            with_report(serving(upstreams={"scripted": down("timeout")}), 1, upstreams={"scripted": UNKNOWN}),
            Outcome(),
            "False Blocked · False Complete · True Valid · True Connected · False Unavailable · False Disabled",
            id="one pod fails at an upstream and the other has not called it",
        ),
        pytest.param(
            replace(serving(), missing_secrets=(SecretKeyRef(name="llm-keys", key="openai"),)),
            Outcome(),
            "False Blocked · False Complete · False SecretMissing · True Connected · True Available · False Disabled",
            id="a Secret is missing",
        ),
        pytest.param(
            serving(),
            Outcome(refused={ObjectId("Service", "support"): Refusal("exceeded quota: services")}),
            "False Blocked · False Complete · False ChildRejected · True Connected · True Available · False Disabled",
            id="a child was rejected",
        ),
        pytest.param(
            without(serving(), DEPLOYMENT),
            Outcome(refused={DEPLOYMENT: Refusal("denied")}),
            "False Blocked · False Blocked · False ChildRejected · True Connected · True Available · False Disabled",
            id="the Deployment was rejected",
        ),
        pytest.param(
            replace(serving(), unreadable={DEPLOYMENT: Refusal("forbidden")}),
            Outcome(),
            "False Blocked · False Blocked · False ChildRejected · True Connected · True Available · False Disabled",
            id="the Deployment may not be read",
        ),
        pytest.param(
            replace(serving(), children={**settled(resource()), DEPLOYMENT: foreign(settled(resource())[DEPLOYMENT])}),
            Outcome(),
            "False Blocked · False Blocked · False NotOwned · True Connected · True Available · False Disabled",
            id="somebody else's Deployment stands there",
        ),
        pytest.param(
            serving(),
            Outcome(unfinished="timeout"),
            "Unknown Updating · True RollingOut · True Valid · True Connected · True Available · False Disabled",
            id="the API server did not take everything",
        ),
        pytest.param(
            replace(serving(), resource=replace(resource(), spec=None, problem="spec.models: Field required")),
            Outcome(),
            "False Blocked · False Blocked · False InvalidSpec · True Connected · Unknown NoPodReport · False Blocked",
            id="the spec cannot be read",
        ),
    ],
)
def test_conditions_are_true_to_their_word(seen: Observed, outcome: Outcome, expected: str) -> None:
    status = evaluate_conditions(seen, outcome)

    assert " · ".join(status_and_reason(status, kind) for kind in DETAILS) == expected


def test_a_message_that_the_api_server_would_reject_is_cut() -> None:
    """A Deployment's own condition has any length, and a status is rejected as a whole."""
    stuck = {"type": "Progressing", "status": "False", "message": "x" * 100_000}
    status = evaluate_conditions(with_child(serving(), DEPLOYMENT, updatedReplicas=0, conditions=[stuck]))

    assert status_and_reason(status, "Progressing") == "False DeadlineExceeded"
    assert len(condition(status, "Progressing").message) == MAX_CONDITION_MESSAGE


def test_a_pod_that_ends_speaks_for_its_streams_and_for_nothing_else() -> None:
    seen = serving(active_streams=2)
    going = Pod("going", terminating=True, report=pod_report("going", "0000", redis=down("x"), active_streams=5))
    status = evaluate_conditions(replace(seen, pods=(*seen.pods, going)))

    assert status_and_reason(status, "Ready") == "True Serving"
    assert status.active_streams == 9


@pytest.mark.parametrize(
    ("seen", "outcome", "kind", "words"),
    [
        (
            replace(serving(), missing_secrets=(SecretKeyRef(name="llm-keys", key="openai"),)),
            Outcome(),
            "ConfigurationValid",
            ["key openai", "Secret llm-keys", "Create it"],
        ),
        (
            serving(),
            Outcome(refused={ObjectId("Service", "support"): Refusal("exceeded quota: services")}),
            "ConfigurationValid",
            ["Service support", "exceeded quota: services"],
        ),
        (
            serving(upstreams={"scripted": down("HTTP 401 from api.example.com")}),
            Outcome(),
            "UpstreamsAvailable",
            ["scripted", "HTTP 401 from api.example.com"],
        ),
        (
            with_report(serving(), 0, redis=down("connection refused")),
            Outcome(),
            "RedisAvailable",
            ["1 of 2 pods", "pod-0", "connection refused"],
        ),
        (
            with_report(serving(), 1, redis=Dependency(state=State.UP, message="maxmemory-policy is unknown")),
            Outcome(),
            "RedisAvailable",
            ["2 of 2 pods can reach Redis. Pod pod-1: maxmemory-policy is unknown"],
        ),
        (
            with_report(serving(), 0, redis=down("connection refused")),
            Outcome(),
            "Ready",
            ["RedisAvailable is False", "connection refused"],
        ),
        (
            replace(serving(), probe=ProbeResult(problem="HTTP 500")),
            Outcome(),
            "Ready",
            ["GET /v1/models through Service support failed", "HTTP 500"],
        ),
        (
            with_child(serving(), DEPLOYMENT, readyReplicas=1, conditions=LATE),
            Outcome(),
            "Progressing",
            ["Deployment support has 1 of 2 ready replicas."],
        ),
        (
            replace(NO_PODS, start_failures=(StartFailure(Cause.NOT_CREATED, QUOTA),)),
            Outcome(),
            "Progressing",
            [f"Deployment support has 0 of 2 ready replicas. {QUOTA}"],
        ),
        (
            replace(
                NO_PODS,
                start_failures=(StartFailure(Cause.NOT_CREATED, QUOTA), StartFailure(Cause.VOLUME, VOLUME)),
            ),
            Outcome(),
            "Ready",
            [f"No pod is ready. Deployment support has 0 of 2 ready replicas. {QUOTA} {VOLUME}"],
        ),
    ],
)
def test_a_message_names_the_object_and_the_cause(
    seen: Observed, outcome: Outcome, kind: str, words: list[str]
) -> None:
    message = condition(evaluate_conditions(seen, outcome), kind).message

    assert [word for word in words if word not in message] == []


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = evaluate_conditions(serving(), now=MOMENT)
    again = evaluate_conditions(replace(serving(), resource=replace(resource(), status=first)), now=LATER)
    failed = replace(serving(), resource=replace(resource(), status=first), probe=ProbeResult(problem="HTTP 500"))
    then = evaluate_conditions(failed, now=LATER)

    assert again == first
    assert condition(then, "Ready").last_transition_time == LATER
    assert condition(then, "RedisAvailable").last_transition_time == MOMENT


def test_every_condition_has_the_generation_that_it_is_about() -> None:
    status = evaluate_conditions(serving(replace(resource(), generation=7)))

    assert status.observed_generation == 7
    assert {each.observed_generation for each in status.conditions or ()} == {7}


def test_transitions_are_changes_of_status_or_reason_and_not_of_words() -> None:
    before = evaluate_conditions(with_child(serving(), DEPLOYMENT, updatedReplicas=0))
    words = evaluate_conditions(with_child(serving(), DEPLOYMENT, updatedReplicas=1))
    after = evaluate_conditions(serving())

    assert list(transitions(before, words)) == []
    assert [each.type for each in transitions(before, after)] == ["Ready", "Progressing"]


@pytest.mark.parametrize(("port", "url"), [(80, "http://support.shop.svc"), (8080, "http://support.shop.svc:8080")])
def test_the_status_names_the_url_models_selector_and_figures(port: int, url: str) -> None:
    status = evaluate_conditions(serving(resource(exposure={"service": {"port": port}}), active_streams=3))

    assert status.url == url
    assert status.models == ["default"]
    assert status.selector == "chatfleet.io/component=api,chatfleet.io/deployment=support"
    assert (status.replicas, status.ready_replicas, status.active_streams, status.redis) == (2, 2, 6, "managed")


def test_there_is_no_url_without_a_service_of_ours() -> None:
    service = ObjectId("Service", "support")
    children = settled(resource())

    assert evaluate_conditions(without(serving(), service)).url is None
    assert (
        evaluate_conditions(replace(serving(), children={**children, service: foreign(children[service])})).url is None
    )


def test_a_report_is_what_it_says_it_is() -> None:
    """The builder above must stay near the real thing."""
    assert PodReport.model_validate_json(pod_report("p", "d").model_dump_json(by_alias=True)) == pod_report("p", "d")


def test_a_url_of_redis_that_is_not_valid_is_named_with_its_secret() -> None:
    own = {"redis": {"urlSecretRef": {"name": "own", "key": "url"}}}
    seen = replace(serving(resource(**own)), redis_url_error="the URL of Redis must be redis://host")
    assert condition(evaluate_conditions(seen), "ConfigurationValid").message == (
        "The URL of Redis must be redis://host. Correct key url of Secret own; pods that start cannot use Redis until"
        " then."
    )


def test_a_corrected_url_of_redis_is_valid_before_every_pod_has_read_it() -> None:
    own = {"redis": {"urlSecretRef": {"name": "own", "key": "url"}}}
    seen = with_report(serving(resource(**own)), 1, redis_url_error="the URL of Redis must be redis://host")
    assert condition(evaluate_conditions(seen), "ConfigurationValid").reason == "Valid"


def test_a_generated_url_of_redis_that_a_pod_cannot_read_is_named_with_the_pod() -> None:
    seen = with_report(serving(), 1, redis_url_error="the URL of Redis must be redis://host")
    assert condition(evaluate_conditions(seen), "ConfigurationValid").message == (
        "Pod pod-1: the URL of Redis must be redis://host. Correct key url of Secret support-redis; pods that start"
        " cannot use Redis until then."
    )
