"""One real node with Chatfleet installed by Helm, shared by all end-to-end tests, which run in the order they are written."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kube import Kubectl, eventually
from support.node import CLUSTER, IMAGES, MANIFESTS, NAMESPACE, ROOT, UPSTREAM_PORT, Node, cluster_tool


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Start a cluster of our own and take it down afterwards (CHATFLEET_E2E_KEEP=1 leaves it for a look)."""
    subprocess.run([ROOT / "tools/images/build"], check=True, timeout=1800)
    cluster_tool("up", "--name", CLUSTER)
    try:
        told = json.loads(cluster_tool("status", "--name", CLUSTER, "--output", "json"))
        cluster_tool("load", "--name", CLUSTER, *IMAGES.values())
        kubectl = Kubectl(Path(told["kubectl"]), Path(told["kubeconfig"]))
        yield Node(kubectl, Path(told["helm"]), told["hostAddress"])
    finally:
        if not os.environ.get("CHATFLEET_E2E_KEEP"):
            cluster_tool("down", "--name", CLUSTER)


@pytest.fixture(scope="session")
def installed(node: Node) -> Node:
    """Install the chart as the README says, and wait for it."""
    sets = [part for value, image in IMAGES.items() for part in ("--set", f"{value}={image}")]
    node.helm("install", "chatfleet", str(ROOT / "charts/chatfleet"), "--create-namespace", "--wait", *sets)
    return node


@pytest.fixture(scope="session")
def upstream(node: Node) -> Iterator[str]:
    """Run llmock, somebody else's OpenAI and Anthropic, on this machine, and give it a Service in the cluster."""
    serve = [str(ROOT / ".venv/bin/llmock"), "serve", "--host", node.host, "--port", str(UPSTREAM_PORT)]
    with subprocess.Popen([*serve, "--response-style", "echo", "--log-level", "warning"]) as server:
        try:
            url = f"http://{node.host}:{UPSTREAM_PORT}"
            eventually(lambda: answers(f"{url}/health"))
            node.kubectl("create", "namespace", NAMESPACE)
            node.kubectl.apply((MANIFESTS / "upstream.yaml").read_text().replace("HOST", node.host))
            yield url
        finally:
            server.terminate()


def answers(url: str) -> bool:
    """Whether a GET is answered 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # our own server
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def support(installed: Node, upstream: str) -> Node:
    """Apply the ChatDeployment that most tests talk to, and wait until it says Ready."""
    assert upstream
    started = time.monotonic()
    installed.kubectl.apply((MANIFESTS / "support.yaml").read_text())
    installed.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)
    print(f"\nsupport is Ready after {time.monotonic() - started:.1f} s")
    return installed
