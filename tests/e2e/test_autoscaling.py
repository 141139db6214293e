"""The number of pods follows the open streams: the real HorizontalPodAutoscaler on our metrics, and no stream cut."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from harness.clients.load import Count, Load
from harness.kube.node import ROOT, Node
from harness.polling import eventually

pytestmark = pytest.mark.timeout(400)
EXAMPLE = ROOT / "examples/07-autoscaling/chatdeployment.yaml"
SPACE = "default"
STREAMS = 40
"""At a time: as many as three pods are meant for."""
COUNT = Count("count", 75)
"""As the example has it: fifteen seconds."""
TARGET = 14
"""Streams that a pod is meant for: far fewer than it takes, so that those which come before the third pod find room."""
SOON = {
    "scaleDown": {"stabilizationWindowSeconds": 15, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}
}


@pytest.fixture(scope="module")
def elastic(installed: Node) -> Iterator[Node]:
    """Apply the example, with another target, and with less patience before pods go."""
    document = yaml.safe_load(EXAMPLE.read_text())
    scaling = document["spec"]["autoscaling"]
    scaling["behavior"], scaling["metrics"] = SOON, [{"type": "ActiveStreams", "averageValue": str(TARGET)}]
    installed.kubectl("apply", "-n", SPACE, "-f", "-", stdin=json.dumps(document))
    installed.kubectl.wait("chatdeployment/elastic", "Ready", namespace=SPACE)
    yield installed
    installed.kubectl("delete", "chatdeployment", "elastic", "-n", SPACE, "--timeout=30s")


def status(node: Node) -> Any:  # noqa: ANN401  # JSON
    """Return the status of the ChatDeployment."""
    return node.kubectl.json("get", "chatdeployment", "elastic", "-n", SPACE)["status"]


def test_the_autoscaler_reads_the_pods_through_the_api_server(elastic: Node) -> None:
    elastic.kubectl.wait("chatdeployment/elastic", "AutoscalingActive", namespace=SPACE)

    path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{SPACE}/pods/*/chatfleet_active_streams"
    only_ours = "labelSelector=chatfleet.io%2Fdeployment%3Delastic"

    def told() -> list[str]:
        return [item["value"] for item in json.loads(elastic.kubectl("get", "--raw", f"{path}?{only_ours}"))["items"]]

    eventually(lambda: told() == ["0", "0"])


def test_pods_come_with_the_streams_and_go_after_them_and_no_stream_is_cut(elastic: Node) -> None:
    load = Load(elastic.service("elastic", SPACE), COUNT, lambda _: STREAMS)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, load.run(seconds=600))
        try:
            eventually(lambda: status(elastic)["readyReplicas"] == 3, seconds=120)
        finally:
            load.stop()
        running.result(60)
    eventually(lambda: status(elastic)["desiredReplicas"] == 2, seconds=120, every=1)

    assert (load.counts.cut, load.counts.refused, dict(load.counts.why)) == (0, 0, {})
    assert load.counts.whole >= STREAMS
