"""Why pods do not start: status documents as kubelets, scheduler and controllers write them, and what follows."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from chatfleet_contract import names
from chatfleet_operator.kube.events import newest_failure
from chatfleet_operator.model.errors import MAX_MESSAGE
from chatfleet_operator.model.start_failure import Cause
from chatfleet_operator.model.values import Manifest, ObjectId, identify
from chatfleet_operator.reconcile.last_words import last_words
from chatfleet_operator.reconcile.start_failures import Started, retries, silent, start_failures
from harness.kube.operated_cluster import MOMENT

SCHEDULED: Manifest = {"type": "PodScheduled", "status": "True"}
NOT_READY: Manifest = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
STARTING: tuple[Manifest, ...] = (SCHEDULED, NOT_READY)
API, REDIS = names.COMPONENT_API, names.COMPONENT_REDIS
DEPLOYMENT, STATEFUL_SET = ObjectId("Deployment", "support"), ObjectId("StatefulSet", "support-redis")
CLAIM, REDIS_POD = ObjectId("PersistentVolumeClaim", "support-redis"), ObjectId("Pod", "support-redis-0")

QUOTA = 'pods "support-6c5d-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2'
PRIORITY = 'pods "support-6c5d-" is forbidden: no PriorityClass with name vital was found'
LIMIT_RANGE = (
    'pods "support-6c5d-x" is forbidden: [minimum memory usage per Container is 1Gi, but request is 64Mi,'
    " minimum cpu usage per Container is 1, but request is 50m]"
)
POD_SECURITY = (
    'pods "support-6c5d-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
    ' (container "sidecar" must not set securityContext.runAsNonRoot=false)'
)
NO_CLASS = 'storageclass.storage.k8s.io "fast" not found'
NO_NODE = "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims"
PULL = (
    'failed to pull and unpack image "registry.test/api:9": failed to resolve reference "registry.test/api:9":'
    " registry.test/api:9: not found"
)


def ago(seconds: float) -> str:
    return (datetime.fromisoformat(MOMENT) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def live(key: ObjectId, component: str, status: Manifest, *, age: float = 60, **metadata: Any) -> Manifest:  # noqa: ANN401
    labels = {names.LABEL_DEPLOYMENT: "support", names.LABEL_COMPONENT: component}
    head = {"name": key.name, "uid": f"uid-{key.name}", "labels": labels, "creationTimestamp": ago(age), **metadata}
    return {"kind": key.kind, "metadata": head, "status": status}


def pod(*containers: Manifest, conditions: tuple[Manifest, ...] = STARTING, **rest: Any) -> Manifest:  # noqa: ANN401
    """Return an API pod as it is in a list: without its kind."""
    status = {"phase": "Pending", "conditions": list(conditions), "containerStatuses": list(containers)}
    made = live(ObjectId("Pod", rest.pop("name", "support-1")), rest.pop("component", API), status, **rest)
    return {**{key: part for key, part in made.items() if key != "kind"}, "spec": {"nodeName": "node-7"}}


def container(state: Manifest, last: Manifest | None = None, restarts: int = 0) -> Manifest:
    return {"name": "api", "ready": False, "restartCount": restarts, "state": state, "lastState": last or {}}


def waiting(reason: str, message: str = "") -> Manifest:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(code: int, reason: str = "Error", message: str = "") -> Manifest:
    return {"terminated": {"exitCode": code, "reason": reason, **({"message": message} if message else {})}}


def unschedulable(message: str, since: float = 10) -> Manifest:
    return pod(
        conditions=(
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
                "lastTransitionTime": ago(since),
            },
        )
    )


def deployment(message: str, since: float = 10) -> Manifest:
    failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return live(DEPLOYMENT, API, {"conditions": [{**failed, "lastTransitionTime": ago(since)}]})


def retried(live: Manifest, seconds: float) -> Manifest:
    annotations = {names.ANNOTATION_RETRY_TIME: ago(seconds)}
    return {**live, "metadata": {**live["metadata"], "annotations": annotations}}


def claim(phase: str, **metadata: Any) -> Manifest:  # noqa: ANN401  # JSON
    return live(CLAIM, REDIS, {"phase": phase}, **metadata)


def started(*children: Manifest, pods: tuple[Manifest, ...] = ()) -> Started:
    return Started({identify(child): child for child in children}, pods, MOMENT)


RUNNING: Manifest = {"name": "api", "ready": True, "restartCount": 0, "state": {"running": {}}, "lastState": {}}
LOST = (SCHEDULED, {"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"})
TAINTED: Manifest = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "DeletionByTaintManager",
    "message": "Taint manager: deleting due to NoExecute taint",
}


@pytest.mark.parametrize(
    ("seen", "events", "cause", "words"),
    [
        pytest.param(started(deployment(QUOTA)), {}, Cause.NOT_CREATED, [str(DEPLOYMENT), QUOTA], id="quota"),
        pytest.param(started(deployment(LIMIT_RANGE)), {}, Cause.NOT_CREATED, ["minimum memory"], id="LimitRange"),
        pytest.param(started(deployment(PRIORITY)), {}, Cause.NOT_CREATED, [PRIORITY], id="PriorityClass"),
        pytest.param(started(deployment(POD_SECURITY)), {}, Cause.NOT_CREATED, [POD_SECURITY], id="Pod Security"),
        pytest.param(
            started(live(STATEFUL_SET, REDIS, {"replicas": 0})),
            {STATEFUL_SET: f"create Pod support-redis-0 in StatefulSet support-redis failed error: {QUOTA}"},
            Cause.NOT_CREATED,
            [str(STATEFUL_SET), QUOTA],
            id="quota of the managed Redis",
        ),
        pytest.param(
            started(claim("Pending")), {CLAIM: NO_CLASS}, Cause.VOLUME, [str(CLAIM), NO_CLASS], id="StorageClass"
        ),
        pytest.param(
            started(claim("Bound", deletionTimestamp=MOMENT)),
            {},
            Cause.VOLUME,
            [f"{CLAIM} is being deleted"],
            id="a volume claim that is being deleted",
        ),
        pytest.param(started(claim("Lost")), {}, Cause.VOLUME, [f"{CLAIM} is Lost"], id="a lost volume"),
        pytest.param(
            started(pods=(unschedulable(NO_NODE),)), {}, Cause.UNSCHEDULABLE, ["Pod support-1", NO_NODE], id="no node"
        ),
        pytest.param(
            started(pods=(pod(container(waiting("ErrImagePull", PULL))),)),
            {},
            Cause.IMAGE,
            ["Pod support-1: ErrImagePull", PULL],
            id="an image that is not there",
        ),
        pytest.param(
            started(pods=(pod(container(waiting("ImagePullBackOff", 'Back-off pulling image "api:9"'))),)),
            {},
            Cause.IMAGE,
            ['ImagePullBackOff: Back-off pulling image "api:9".'],
            id="an image that was not there",
        ),
        pytest.param(
            started(
                pods=(
                    pod(
                        container(
                            waiting(
                                "InvalidImageName",
                                'Failed to apply default image tag "API:": couldn\'t parse image name',
                            )
                        )
                    ),
                )
            ),
            {},
            Cause.IMAGE,
            ["InvalidImageName", "couldn't parse image name"],
            id="an image with an invalid name",
        ),
        pytest.param(
            started(pods=(pod(container(waiting("CreateContainerConfigError", 'secret "extra" not found'))),)),
            {},
            Cause.CONTAINER_NOT_CREATED,
            ['CreateContainerConfigError: secret "extra" not found.'],
            id="a Secret of template.env that is missing",
        ),
        pytest.param(
            started(
                pods=(
                    pod(
                        container(
                            waiting("CrashLoopBackOff", "back-off 40s restarting failed container=api"),
                            terminated(1, message="Traceback (most recent call last):\nModuleNotFoundError: numpy\n"),
                            restarts=3,
                        )
                    ),
                )
            ),
            {},
            Cause.CRASH,
            ["container api ended with Error, exit code 1, 3 restarts", "ModuleNotFoundError: numpy"],
            id="a crash loop",
        ),
        pytest.param(
            started(pods=(pod(container({"running": {}}, terminated(139), restarts=1)),)),
            {},
            Cause.CRASH,
            ["exit code 139, 1 restart."],
            id="a crash loop between two crashes",
        ),
        pytest.param(
            started(pods=(pod(container(terminated(0, "Completed"))),)), {}, None, [], id="a container that has ended"
        ),
        pytest.param(
            started(pods=(pod(container(waiting("CrashLoopBackOff"), terminated(0, "Completed"), restarts=2)),)),
            {},
            Cause.CRASH,
            ["Completed, exit code 0, 2 restarts"],
            id="a container that ends without an error",
        ),
        pytest.param(
            started(pods=(pod(container(waiting("CrashLoopBackOff"), terminated(137, "OOMKilled"), restarts=2)),)),
            {},
            Cause.OUT_OF_MEMORY,
            ["ended with OOMKilled, exit code 137, 2 restarts."],
            id="out of memory",
        ),
        pytest.param(
            started(
                pods=(
                    pod(
                        container(
                            waiting("RunContainerError"),
                            terminated(128, "StartError", 'exec: "nope": executable file not found in $PATH'),
                        )
                    ),
                )
            ),
            {},
            Cause.CONTAINER_NOT_CREATED,
            ["RunContainerError"],
            id="a command that is not there",
        ),
        pytest.param(
            started(pods=(pod(container(waiting("ContainerCreating"))),)),
            {ObjectId("Pod", "support-1"): 'MountVolume.SetUp failed for volume "config": configmap "x" not found'},
            Cause.CONTAINER_NOT_CREATED,
            ["Pod support-1: MountVolume.SetUp failed"],
            id="a volume that cannot be mounted",
        ),
        pytest.param(
            started(pods=(pod(RUNNING, conditions=LOST),)),
            {},
            Cause.NODE_LOST,
            ["Pod support-1 is on node node-7. Its kubelet does not report."],
            id="a node that is lost",
        ),
        pytest.param(
            started(
                live(STATEFUL_SET, REDIS, {"replicas": 1}),
                pods=(pod(conditions=(TAINTED,), name="support-redis-0", component=REDIS, deletionTimestamp=MOMENT),),
            ),
            {},
            Cause.NODE_LOST,
            [f"{REDIS_POD} is on node node-7. Taint manager: deleting"],
            id="the node of Redis is lost",
        ),
        pytest.param(started(claim("Pending")), {}, None, [], id="a volume that waits for its pod"),
        pytest.param(started(deployment(QUOTA, since=1)), {}, None, [], id="a pod that is created a second later"),
        pytest.param(
            started(pods=(unschedulable("pod has unbound immediate PersistentVolumeClaims", since=1),)),
            {},
            None,
            [],
            id="a pod that is scheduled a second later",
        ),
        pytest.param(started(pods=(pod(container(waiting("ContainerCreating"))),)), {}, None, [], id="a start"),
        pytest.param(
            started(pods=(pod(RUNNING, conditions=(SCHEDULED, {"type": "Ready", "status": "True"})),)),
            {ObjectId("Pod", "support-1"): "Readiness probe failed"},
            None,
            [],
            id="all is well",
        ),
        pytest.param(
            started(pods=(pod({**RUNNING, "ready": False}),)), {}, None, [], id="a pod that is not ready and runs"
        ),
        pytest.param(
            started(
                pods=(
                    pod(
                        RUNNING,
                        conditions=(
                            SCHEDULED,
                            {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"},
                            {"type": "ContainersReady", "status": "True"},
                        ),
                    ),
                )
            ),
            {},
            None,
            [],
            id="a readiness gate",
        ),
        pytest.param(
            started(pods=(pod(container(waiting("ErrImagePull", PULL)), deletionTimestamp=MOMENT),)),
            {},
            None,
            [],
            id="a pod that ends",
        ),
    ],
)
def test_the_cause_has_the_words_of_the_cluster(
    seen: Started, events: dict[ObjectId, str], cause: Cause | None, words: list[str]
) -> None:
    failures = start_failures(seen, events)

    assert [failure.cause for failure in failures] == ([cause] if cause else [])
    assert [word for word in words if word not in failures[0].message] == []


def test_of_each_cause_there_is_one_failure_that_of_the_newest_pod_of_the_api_first() -> None:
    old = pod(container(waiting("ErrImagePull", PULL)), name="old", age=900)
    new = pod(container(waiting("ErrImagePull", PULL)), name="new", age=9)
    failures = start_failures(started(claim("Pending"), pods=(old, new)), {CLAIM: NO_CLASS})

    assert [failure.message.split(":")[0] for failure in failures] == ["Pod new", f"{CLAIM} is Pending"]


@pytest.mark.parametrize(
    ("seen", "asked"),
    [
        (started(live(STATEFUL_SET, REDIS, {}), claim("Pending")), {CLAIM, STATEFUL_SET}),
        (started(live(STATEFUL_SET, REDIS, {}, age=1), claim("Pending", age=1)), set()),
        (started(claim("Bound"), pods=(pod(component=REDIS, name="support-redis-0"),)), {REDIS_POD}),
        (started(pods=(pod(container(waiting("ContainerCreating")), age=1),)), set()),
        (started(pods=(pod(container(waiting("ErrImagePull", PULL))),)), set()),
        (started(pods=(pod(container(waiting("ContainerCreating"))),)), {ObjectId("Pod", "support-1")}),
        (started(pods=(unschedulable(NO_NODE),)), set()),
        (started(pods=(pod(RUNNING, conditions=(SCHEDULED, {"type": "Ready", "status": "True"})),)), set()),
    ],
)
def test_events_are_read_about_what_waits_without_words(seen: Started, asked: set[ObjectId]) -> None:
    assert silent(seen).keys() == asked


def of_template(image: str, made: Manifest) -> Manifest:
    """Return a pod, or a Deployment, with a container of this image."""
    spec: Manifest = {"containers": [{"name": "api", "image": image}], "serviceAccountName": "support"}
    if made.get("kind") == "Deployment":
        return {**made, "spec": {"template": {"spec": spec}}}
    defaulted = {"terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "IfNotPresent"}
    sidecar = {"name": "mesh", "image": "mesh:1"}
    return {**made, "spec": {**spec, "containers": [{**spec["containers"][0], **defaulted}, sidecar], "nodeName": "n"}}


OLD_POD = of_template("api:wrong", pod(container(waiting("ErrImagePull", PULL)), name="support-old"))
NEW_POD = of_template("api:right", pod(container(waiting("ContainerCreating")), name="support-new"))
HEALED = of_template("api:right", live(DEPLOYMENT, API, {}))


def test_a_pod_of_an_earlier_template_is_no_cause_once_there_is_one_of_the_current() -> None:
    assert start_failures(started(HEALED, pods=(OLD_POD, NEW_POD)), {}) == ()
    assert [one.cause for one in start_failures(started(HEALED, pods=(OLD_POD,)), {})] == [Cause.IMAGE]
    failing = of_template("api:right", pod(container(waiting("ErrImagePull", PULL)), name="support-new"))
    (one,) = start_failures(started(HEALED, pods=(OLD_POD, failing)), {})
    assert "Pod support-new" in one.message


def test_a_pod_that_has_a_variable_more_than_the_current_template_is_of_an_earlier_one() -> None:
    crashing = of_template("api:right", pod(container(waiting("ErrImagePull", PULL)), name="support-old"))
    crashing["spec"]["containers"][0]["env"] = [{"name": "PYTHONHOME", "value": "/nowhere"}]

    assert start_failures(started(HEALED, pods=(crashing, NEW_POD)), {}) == ()
    assert [one.cause for one in start_failures(started(HEALED, pods=(crashing,)), {})] == [Cause.IMAGE]


@pytest.mark.parametrize(
    ("seen", "events", "due"),
    [
        pytest.param(started(deployment(QUOTA, since=10)), {}, {DEPLOYMENT}, id="a failure of some seconds"),
        pytest.param(started(deployment(QUOTA, since=3)), {}, set(), id="Kubernetes retries by itself in time"),
        pytest.param(started(retried(deployment(QUOTA, since=60), 3)), {}, set(), id="there was a retry"),
        pytest.param(started(retried(deployment(QUOTA, since=60), 7)), {}, {DEPLOYMENT}, id="it was some seconds ago"),
        pytest.param(started(retried(deployment(QUOTA, since=3600), 7)), {}, set(), id="it has failed for an hour"),
        pytest.param(started(live(DEPLOYMENT, API, {})), {}, set(), id="nothing has failed"),
        pytest.param(started(claim("Pending")), {CLAIM: NO_CLASS}, {CLAIM}, id="StorageClass"),
        pytest.param(started(claim("Pending")), {}, set(), id="a volume that waits for its pod"),
        pytest.param(started(live(STATEFUL_SET, REDIS, {})), {STATEFUL_SET: QUOTA}, {STATEFUL_SET}, id="Redis"),
        pytest.param(
            started(pods=(pod(container(waiting("CreateContainerConfigError", 'secret "extra" not found'))),)),
            {},
            {ObjectId("Pod", "support-1")},
            id="a Secret of template.env that is missing",
        ),
        pytest.param(
            started(pods=(pod(container(waiting("ErrImagePull", PULL))),)),
            {},
            set(),
            id="an image, whose back-off no change shortens",
        ),
        pytest.param(
            started(retried(live(STATEFUL_SET, REDIS, {}), 3)), {STATEFUL_SET: QUOTA}, set(), id="Redis was retried"
        ),
    ],
)
def test_a_retry_is_due_after_some_seconds_and_more_rarely_after_a_long_failure(
    seen: Started, events: dict[ObjectId, str], due: set[ObjectId]
) -> None:
    assert set(retries(seen, events)) == due


def test_the_newest_event_about_a_failure_is_found_in_every_form() -> None:
    def event(note: str, kind: str = "Warning", reason: str = "FailedCreate", **times: Any) -> Manifest:  # noqa: ANN401
        return {"type": kind, "reason": reason, "note": note, "metadata": {"creationTimestamp": ago(900)}, **times}

    series = event("series", eventTime=ago(800), series={"lastObservedTime": ago(5)})
    older = event("deprecated", eventTime=None, deprecatedLastTimestamp=ago(30))
    normal = event("waiting for first consumer", "Normal", "WaitForFirstConsumer", deprecatedLastTimestamp=ago(1))
    unbound = event("no storage class is set", "Normal", "FailedBinding", deprecatedLastTimestamp=ago(2))

    provisioning = event("waiting", "Normal", "ExternalProvisioning", deprecatedLastTimestamp=ago(0))

    assert newest_failure([series, older, provisioning]) == "series"
    assert newest_failure([older, event("first")]) == "deprecated"
    assert newest_failure([older, unbound]) == "no storage class is set"
    assert newest_failure([series, older, normal]) == "", "it is healed"
    assert newest_failure([provisioning]) == newest_failure([]) == ""


@pytest.mark.parametrize(
    ("output", "end"),
    [
        ("Connecting to rediss://user:hunter22@redis:6379/0 failed\n", "rediss://…@redis:6379/0 failed"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer …"),
        ('{"api_key": "0123456789"}', '{"api_key": "…"}'),
        ("invalid key sk-proj-0123456789abcdef given", "invalid key … given"),
        ("PASSWORD=hunter22 is wrong", "PASSWORD=… is wrong"),
        ("chatfleet-api: token for conversations is missing", "token for conversations is missing"),
    ],
)
def test_the_last_words_of_a_container_have_no_credentials(output: str, end: str) -> None:
    assert last_words(output).endswith(end)


def test_the_last_words_are_the_end_and_are_bounded() -> None:
    words = last_words("\n".join(f"line {number}" for number in range(999)))

    assert len(words) == MAX_MESSAGE
    assert words.startswith("…")
    assert words.endswith("line 998")
