"""Pods that do not start, as a real kubelet and scheduler report it: told and healed within 10 s of their report."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import yaml

from chatfleet_operator.model.values import Ref
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.kube.node import Node
from harness.kube.operated_cluster import document
from harness.polling import eventually

pytestmark = pytest.mark.timeout(300)

NAMESPACE: Final = "start"
SECONDS: Final = 10
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    reason: str
    words: tuple[str, ...]
    template: dict[str, Any]
    remedy: dict[str, Any] | None = None
    """An object whose creation heals; None: the template as it was."""


EXTRA: Final = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "extra", "namespace": NAMESPACE},
    "stringData": {"region": "hidden-value"},
}
REGION: Final = {"name": "REGION", "valueFrom": {"secretKeyRef": {"name": "extra", "key": "region"}}}

FAULTS: Final = {
    "image that cannot be pulled": Fault(
        "ImagePullFailed", ("registry.invalid/api:9",), {"image": "registry.invalid/api:9"}
    ),
    "missing Secret of template.env": Fault(
        "CreateContainerFailed", ('secret "extra" not found',), {"env": [REGION]}, remedy=EXTRA
    ),
    "crash loop": Fault(
        "CrashLoopBackOff",
        ("container api ended with Error", "encodings"),
        {"env": [{"name": "PYTHONHOME", "value": "/nowhere"}]},
    ),
    "out of memory": Fault("OOMKilled", ("OOMKilled",), {"resources": {"limits": {"memory": "28Mi"}}}),
    "unschedulable": Fault(
        "Unschedulable", ("node affinity/selector",), {"nodeSelector": {"chatfleet.io/nowhere": "true"}}
    ),
}


@pytest.fixture(scope="module")
def healthy(installed: Node) -> Iterator[LiveChatDeployment]:
    """A ChatDeployment that serves."""
    installed.kubectl("create", "namespace", NAMESPACE)
    chatdeployment = LiveChatDeployment(installed.kubectl, NAMESPACE)
    with_template(chatdeployment, {})
    installed.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)
    yield chatdeployment
    installed.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def with_template(chatdeployment: LiveChatDeployment, template: dict[str, Any]) -> None:
    redis = {"managed": {"storage": "64Mi"}}
    streaming = {"drainSeconds": 0, "maxStreamSeconds": 60}
    manifest = document(Ref(NAMESPACE, "support"), replicas=1, redis=redis, streaming=streaming, template=template)
    chatdeployment.kubectl.apply(yaml.safe_dump(manifest))


@pytest.mark.parametrize("name", FAULTS)
def test_the_cause_is_told_and_healed_in_time(healthy: LiveChatDeployment, name: str) -> None:
    fault = FAULTS[name]
    with_template(healthy, fault.template)
    try:
        told = seconds_until(healthy.has_condition("Progressing", fault.reason, *fault.words))
        assert healthy.has_condition("Ready", "Updating", *fault.words)(), healthy.condition("Ready")
    finally:
        if fault.remedy:
            healthy.kubectl.apply(yaml.safe_dump(fault.remedy))
        else:
            with_template(healthy, {})
    healed = seconds_until(lambda: healthy.condition("Progressing")["reason"] != fault.reason)

    logger.info("%s: told in %.1f s, healed in %.1f s", name, told, healed)
    assert "hidden-value" not in json.dumps(healthy.get())
    healthy.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)
    assert told <= SECONDS
    assert healed <= SECONDS


def test_a_volume_claim_that_is_being_deleted_is_told(healthy: LiveChatDeployment) -> None:
    healthy.kubectl("delete", "pvc", "support-redis", "-n", NAMESPACE, "--wait=false")

    told = seconds_until(healthy.has_condition("Progressing", "VolumeUnavailable", "support-redis is being deleted"))

    assert healthy.condition("Ready")["status"] == "True"
    healthy.kubectl("delete", "pod", "support-redis-0", "-n", NAMESPACE)
    healthy.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)
    eventually(healthy.has_condition("Progressing", "Complete"))
    assert told <= SECONDS


def seconds_until(holds: Callable[[], bool]) -> float:
    """Return how long it takes until `holds()` is true; longer than allowed is a number too."""
    start = time.monotonic()
    eventually(holds, seconds=6 * SECONDS)
    return time.monotonic() - start
