"""Pods end when they are deleted, however soon after their start: none waits for the end of its grace period."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
import yaml

from chatfleet_metrics.__main__ import DRAIN_SECONDS
from harness.kube.node import MANIFESTS, NAMESPACE, Node
from harness.polling import eventually

pytestmark = pytest.mark.timeout(400)
SYSTEM = "chatfleet-system"
AT_A_TIME = 6
"""Pods that start side by side: more would only start later."""
LIMIT_SECONDS = 5.0
BUSY_SECONDS = 20.0
"""What a pod may take beside others on a busy node; one that ignores the signal takes its whole grace period."""
GRACE_SECONDS = 90
"""Far above the limit, and below that of this test."""


class Subject(NamedTuple):
    namespace: str
    deployment: str
    step: float
    """Seconds between the moments at which its pods are deleted."""
    drain_seconds: float = 0.0
    """How long it serves on after it is deleted: in its preStop hook once that is answered, or after SIGTERM."""


SUBJECTS = (
    Subject(NAMESPACE, "support", 0.1, drain_seconds=2),
    Subject("asleep", "sleepy-activator", 0.6, drain_seconds=5),
    Subject(SYSTEM, "chatfleet", 0.6),
    Subject(SYSTEM, "chatfleet-metrics-apiserver", 0.6, drain_seconds=DRAIN_SECONDS),
)
LONGEST_SECONDS = 3.0


@pytest.fixture(scope="module")
def subjects(support: Node) -> Node:
    support.kubectl.apply((MANIFESTS / "sleepy.yaml").read_text())
    eventually(lambda: support.kubectl("get", "deployment/sleepy-activator", "-n", "asleep", "-o", "name"), seconds=60)
    return support


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.deployment)
def test_a_pod_that_is_deleted_while_it_starts_is_gone_at_once(subjects: Node, subject: Subject) -> None:
    deployment = subjects.kubectl.json("get", f"deployment/{subject.deployment}", "-n", subject.namespace)
    template = deployment["spec"]["template"]
    delays = [subject.step * number for number in range(round(LONGEST_SECONDS / subject.step) + 1)]
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        taken = list(threads.map(lambda delay: ending(subjects, subject, template, delay), delays))
    assert max(taken) < BUSY_SECONDS
    limit = LIMIT_SECONDS + subject.drain_seconds
    late = [delay for delay, seconds in zip(delays, taken, strict=True) if seconds > limit]
    alone = {delay: ending(subjects, subject, template, delay) for delay in late}  # the others had kept the node busy
    assert {delay: seconds for delay, seconds in alone.items() if seconds > limit} == {}


def ending(node: Node, subject: Subject, template: dict[str, Any], delay: float) -> float:
    """Start a pod that belongs to nobody, delete it after `delay` seconds, and return the seconds until it is gone."""
    name = f"{subject.deployment}-{round(delay * 1000):04}"
    spec = {**template["spec"], "terminationGracePeriodSeconds": GRACE_SECONDS}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": subject.namespace}, "spec": spec}
    where = ("-n", subject.namespace, "--ignore-not-found", "-o", "json")
    node.kubectl.apply(yaml.safe_dump(pod))

    def started() -> bool:
        statuses = node.kubectl.json("get", f"pod/{name}", "-n", subject.namespace)["status"].get("containerStatuses")
        return bool(statuses) and "running" in statuses[0]["state"]

    eventually(started, seconds=60, every=0.05)
    time.sleep(delay)  # the age at which the pod is deleted
    node.kubectl("delete", "pod", name, "-n", subject.namespace, "--wait=false")
    deleted = time.monotonic()
    eventually(lambda: not node.kubectl("get", f"pod/{name}", *where), seconds=GRACE_SECONDS + 30, every=0.1)
    return time.monotonic() - deleted
