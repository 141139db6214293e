"""A node is drained under open streams: the budget lets one pod go at a time, and no stream is cut."""

import asyncio
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chatfleet_contract.names import COMPONENT_API, LABEL_COMPONENT, LABEL_DEPLOYMENT
from harness.clients.load import Count, Load
from harness.kube.node import MANIFESTS, NAMESPACE, Node
from harness.polling import eventually

pytestmark = pytest.mark.timeout(300)
OURS = f"{LABEL_DEPLOYMENT}=support,{LABEL_COMPONENT}={COMPONENT_API}"
COUNT = Count("slow", 100)
"""Five seconds, as the manifest has it."""
STREAMS = 30
REFUSAL = "violate the pod's disruption budget"


@pytest.fixture
def machine(support: Node) -> Iterator[str]:
    """Name of the only node, which takes pods again in the end; `support` is there, whatever other tests did to it."""
    support.kubectl.apply((MANIFESTS / "support.yaml").read_text())
    support.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)
    name = support.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    yield name
    support.kubectl("uncordon", name)
    support.kubectl("delete", "chatdeployment", "support", "-n", NAMESPACE, "--timeout=30s")


def pods(node: Node) -> dict[str, bool]:
    """Return the API pods, and of each whether it is told to go."""
    found = node.kubectl.json("get", "pods", "-n", NAMESPACE, "-l", OURS)["items"]
    return {pod["metadata"]["name"]: "deletionTimestamp" in pod["metadata"] for pod in found}


def drain(node: Node, machine: str, log: Path) -> "subprocess.Popen[bytes]":
    """Start `kubectl drain` for the pods of our ChatDeployment, with its words in a file."""
    kubectl = (str(node.kubectl.binary), "--kubeconfig", str(node.kubectl.kubeconfig))
    options = (f"--pod-selector={OURS}", "--delete-emptydir-data", "--timeout=120s")
    with log.open("wb") as words:
        return subprocess.Popen([*kubectl, "drain", machine, *options], stdout=words, stderr=subprocess.STDOUT)


def test_a_drained_node_lets_pods_go_one_by_one_and_cuts_no_stream(support: Node, machine: str, tmp_path: Path) -> None:
    before = set(pods(support))
    load = Load(support.service("support"), COUNT, lambda _: STREAMS)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, load.run(seconds=200))
        try:
            eventually(lambda: load.counts.live == STREAMS)
            with drain(support, machine, log := tmp_path / "drain.log") as draining:
                eventually(lambda: REFUSAL in log.read_text())  # no other node takes the first pod's successor
                refused = pods(support)
                support.kubectl("uncordon", machine)
                assert draining.wait(150) == 0, log.read_text()
        finally:
            load.stop()
        running.result(60)

    assert sum(refused[pod] for pod in before & refused.keys()) + len(before - refused.keys()) == 1
    assert not before & pods(support).keys()
    assert (load.counts.cut, load.counts.refused, dict(load.counts.why)) == (0, 0, {})
    assert load.counts.whole >= 2 * STREAMS
