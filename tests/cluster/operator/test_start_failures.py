"""Pods that do not start, as the real controllers and admission report it: told and healed within 10 s.

One row per fault. No kubelet runs here: what a kubelet reports is in tests/e2e/test_start_failures.py.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import pytest
import yaml

from harness.kube.controllers import operated
from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.kube.wrong_specs import WrongSpec, wrong_specs
from harness.polling import eventually, remains

pytestmark = pytest.mark.timeout(180)

SECONDS: Final = 10
"""Until a cause is in a condition, and until it is gone from there."""

numbers = count(1)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """What is wrong in a namespace, and what the conditions have about it."""

    reason: str
    words: tuple[str, ...]
    obstacle: Mapping[str, Any] | None = None
    """An object that exists before the ChatDeployment, and whose deletion heals."""
    remedy: Mapping[str, Any] | None = None
    """An object whose creation heals."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    lasts: int = 0
    """Seconds that it lasts at least: Kubernetes retries after twice as long each time."""


def quota(**hard: str) -> Mapping[str, Any]:
    limits = {name.replace("_", "."): value for name, value in hard.items()}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": limits}}


LIMIT_RANGE: Final = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "large"},
    "spec": {"limits": [{"type": "Container", "min": {"memory": "1Gi"}}]},
}
PRIORITY: Final = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "vital"},
    "value": 1000,
}
STORAGE: Final = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "fast"},
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
}
SMALL: Final = {"template": {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}}

FAULTS: Final = {
    "quota on pods": Fault("FailedCreate", ("Deployment support", "exceeded quota: small"), quota(pods="0"), lasts=22),
    "quota on requests": Fault(
        "FailedCreate", ("exceeded quota: small", "requests.cpu=100m"), quota(requests_cpu="60m"), spec=SMALL
    ),
    "LimitRange": Fault("FailedCreate", ("minimum memory usage per Container is 1Gi",), LIMIT_RANGE, spec=SMALL),
    "unknown PriorityClass": Fault(
        "FailedCreate",
        ("no PriorityClass with name vital was found",),
        remedy=PRIORITY,
        spec={"template": {"priorityClassName": "vital"}},
    ),
    "quota of the managed Redis": Fault(
        "FailedCreate",
        ("StatefulSet support-redis", "exceeded quota: small"),
        quota(pods="0"),
        spec={"replicas": 0},
    ),
    "unknown StorageClass": Fault(
        "VolumeUnavailable",
        ("PersistentVolumeClaim support-redis", 'storageclass.storage.k8s.io "fast" not found'),
        remedy=STORAGE,
        spec={"redis": {"managed": {"storageClassName": "fast"}}},
    ),
}


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Start an API server of its own, all controllers, and the operator with its own defaults."""
    with operated(tmp_path_factory.mktemp("start"), {}) as kubectl:
        default = {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
        kubectl.apply(yaml.safe_dump({**STORAGE, "metadata": default}))
        yield kubectl


@pytest.fixture
def chatdeployment(kubernetes: Kubectl) -> LiveChatDeployment:
    name = f"start-{next(numbers)}"
    kubernetes("create", "namespace", name)
    return LiveChatDeployment(kubernetes, name)


@pytest.mark.parametrize("name", FAULTS)
def test_the_cause_is_told_and_healed_in_time(chatdeployment: LiveChatDeployment, name: str) -> None:
    fault, kubectl = FAULTS[name], chatdeployment.kubectl
    if fault.obstacle:
        kubectl("apply", "-n", chatdeployment.namespace, "-f", "-", stdin=yaml.safe_dump(dict(fault.obstacle)))
        eventually(lambda: kubectl("get", "serviceaccount", "default", "-n", chatdeployment.namespace, "-o", "name"))
    chatdeployment.apply(**{"replicas": 2, **fault.spec})

    is_told = chatdeployment.has_condition("Progressing", fault.reason, *fault.words)
    told = seconds_until(is_told)
    assert chatdeployment.condition("Progressing")["status"] == "False"
    if fault.spec.get("replicas") != 0:
        assert chatdeployment.has_condition("Ready", "NoReadyPods", *fault.words)()

    if fault.lasts:
        remains(is_told, seconds=fault.lasts)
    if fault.obstacle:
        kubectl("delete", fault.obstacle["kind"], fault.obstacle["metadata"]["name"], "-n", chatdeployment.namespace)
    if fault.remedy:
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump(dict(fault.remedy)))
    healed = seconds_until(lambda: not is_told())
    logger.info("%s: told in %.1f s, healed in %.1f s", name, told, healed)
    assert told <= SECONDS
    assert healed <= SECONDS


WRONG: Final = [row for row in wrong_specs() if row.condition and row.condition[0] == "Progressing"]


@pytest.mark.parametrize("row", WRONG, ids=str)
def test_a_wrong_spec_is_told_in_time(chatdeployment: LiveChatDeployment, row: WrongSpec) -> None:
    chatdeployment.apply(**row.document("support")["spec"])

    assert row.condition
    assert seconds_until(chatdeployment.has_condition(*row.condition, *row.words)) <= SECONDS
    assert chatdeployment.condition("Progressing")["status"] == "False"


def seconds_until(holds: Callable[[], bool]) -> float:
    """Return how long it takes until `holds()` is true; longer than allowed is a number too."""
    start = time.monotonic()
    eventually(holds, seconds=4 * SECONDS)
    return time.monotonic() - start
