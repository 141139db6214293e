"""`source: prometheus` with the real prometheus-adapter, which has the rules of our documents."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.kube.node import MANIFESTS, Node
from harness.kube.prometheus import prometheus
from harness.kube.prometheus_adapter import prometheus_adapter
from harness.kube.scaled import Scaled
from harness.polling import eventually

pytestmark = pytest.mark.timeout(600)
SPACE = "measured"
METRICS = ("chatfleet_active_streams", "chatfleet_tokens_per_second", "chatfleet_queued_requests")
STREAMS = 15
"""At a time: three pods are meant for 18."""
SILENT_SECONDS = 60
"""Four looks of the autoscaler, without a figure."""


@pytest.fixture(scope="module")
def measured(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scaled]:
    """Apply the ChatDeployment beside prometheus-adapter; there is no Prometheus yet."""
    with prometheus_adapter(node, tmp_path_factory.mktemp("adapter")):
        node.kubectl.apply((MANIFESTS / "measured.yaml").read_text())
        node.kubectl.wait("chatdeployment/measured", "Ready", namespace=SPACE)
        yield Scaled(node, SPACE, "measured")
        node.kubectl("delete", "chatdeployment", "measured", "-n", SPACE, "--timeout=60s")


def told(node: Node, metric: str) -> list[str]:
    """Return what the API server says of the pods, as the autoscaler asks it."""
    path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{SPACE}/pods/*/{metric}"
    return [item["value"] for item in json.loads(node.kubectl("get", "--raw", path))["items"]]


def test_each_pod_is_told_of_also_when_it_has_not_streamed_yet(measured: Scaled, tmp_path: Path) -> None:
    with prometheus(measured.node, tmp_path):
        for metric in METRICS:
            eventually(lambda metric=metric: told(measured.node, metric) == ["0"], seconds=90)  # type: ignore[misc]
        eventually(lambda: measured.reason == "Scaling", seconds=60)


def test_pods_follow_the_streams_and_a_dead_prometheus_takes_none_away(measured: Scaled, tmp_path: Path) -> None:
    with measured.streaming(STREAMS), prometheus(measured.node, tmp_path):
        eventually(lambda: measured.ready == 3, seconds=120)
        eventually(lambda: sum(map(int, told(measured.node, METRICS[0]))) == STREAMS, seconds=30)
    # Prometheus was first to go: that no stream is open any more, nobody has told.
    eventually(lambda: measured.reason == "MetricsUnavailable", seconds=60)
    measured.stays(3, seconds=SILENT_SECONDS)

    with prometheus(measured.node, tmp_path):
        eventually(lambda: measured.wanted == 1, seconds=120)
        assert measured.reason == "Scaling"
