"""`source: prometheus` with the real prometheus-adapter, which has the rules of our documents."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from scale.load import Count, Load
from support.kube import eventually
from support.node import MANIFESTS, Node
from support.prometheus import prometheus
from support.prometheus_adapter import prometheus_adapter

pytestmark = pytest.mark.timeout(600)
SPACE = "measured"
METRICS = ("chatfleet_active_streams", "chatfleet_tokens_per_second", "chatfleet_queued_turns")
STREAMS = 15
"""At a time: three pods are meant for 18."""
COUNT = Count("slow", 100)
SILENT_SECONDS = 60
"""Four looks of the autoscaler, without a figure."""


@pytest.fixture(scope="module")
def measured(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Apply the ChatDeployment beside the adapter; there is no Prometheus yet."""
    with prometheus_adapter(node, tmp_path_factory.mktemp("adapter")):
        node.kubectl.apply((MANIFESTS / "measured.yaml").read_text())
        node.kubectl.wait("chatdeployment/measured", "Ready", namespace=SPACE)
        yield node


def told(node: Node, metric: str) -> list[str]:
    """Return what the API server says of the pods, as the autoscaler asks it."""
    path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{SPACE}/pods/*/{metric}"
    return [item["value"] for item in json.loads(node.kubectl("get", "--raw", path))["items"]]


def wanted(node: Node) -> int:
    count: int = node.kubectl.json("get", "deployment/measured", "-n", SPACE)["spec"]["replicas"]
    return count


def ready(node: Node) -> int:
    count: int = node.kubectl.json("get", "chatdeployment/measured", "-n", SPACE)["status"]["readyReplicas"]
    return count


def reason(node: Node) -> str:
    conditions = node.kubectl.json("get", "chatdeployment/measured", "-n", SPACE)["status"]["conditions"]
    found: str = next(each["reason"] for each in conditions if each["type"] == "AutoscalingActive")
    return found


@contextmanager
def streaming(node: Node) -> Iterator[Load]:
    """Keep streams open, and see in the end that none was cut or refused."""
    load = Load(node.service("measured", SPACE), COUNT, lambda _: STREAMS)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, load.run(seconds=400))
        try:
            yield load
        finally:
            load.stop()
        running.result(60)
    assert (load.tally.cut, load.tally.refused, dict(load.tally.why)) == (0, 0, {})


def test_each_pod_is_told_of_also_when_it_has_not_streamed_yet(measured: Node, tmp_path: Path) -> None:
    with prometheus(measured, tmp_path):
        for metric in METRICS:
            eventually(lambda metric=metric: told(measured, metric) == ["0"], seconds=90)  # type: ignore[misc]
        eventually(lambda: reason(measured) == "Scaling", seconds=60)


def test_pods_follow_the_streams_and_a_dead_prometheus_takes_none_away(measured: Node, tmp_path: Path) -> None:
    with streaming(measured), prometheus(measured, tmp_path):
        eventually(lambda: ready(measured) == 3, seconds=120)
        eventually(lambda: sum(map(int, told(measured, METRICS[0]))) == STREAMS, seconds=30)
    # Prometheus was first to go: that no stream is open any more, nobody has told.
    eventually(lambda: reason(measured) == "MetricsUnavailable", seconds=60)
    deadline = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < deadline:
        assert wanted(measured) == 3
        time.sleep(1)

    with prometheus(measured, tmp_path):
        eventually(lambda: wanted(measured) == 1, seconds=120)
        assert reason(measured) == "Scaling"
