"""A real node with Chatfleet installed by Helm; a worker of pytest-xdist has one, and shares it among its files."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from harness.kube.node import (
    CLUSTER,
    MANIFESTS,
    NAMESPACE,
    UPSTREAM_PORT,
    Node,
    install,
    remove,
    started_node,
    upstream_manifest,
)
from harness.polling import eventually


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the demo, which makes a cluster out of nothing; its worker's other tests use that cluster."""
    items.sort(key=lambda item: item.path.name != "test_demo.py")


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Name of this worker's cluster, which its first user starts; what a killed run left of it is removed."""
    remove(CLUSTER)
    yield CLUSTER
    if not os.environ.get("CHATFLEET_E2E_KEEP"):
        remove(CLUSTER)


@pytest.fixture(scope="session")
def node(cluster: str) -> Node:
    """Start a real node with our images."""
    return started_node(cluster)


@pytest.fixture(scope="session")
def installed(node: Node) -> Node:
    """Install the chart as the README says, and wait for it."""
    install(node)
    return node


LLMOCK = """
from llmock.cli import app
from llmock.routers import anthropic, openai

openai._MOCK_MODELS.append("gpt-6-luna")
anthropic._MOCK_MODELS.append(
    {"id": "claude-haiku-5-5", "display_name": "Claude Haiku 5.5", "created_at": "2026-10-01T00:00:00Z"}
)
app()
"""
"""llmock, with the models of `support.yaml` beside its own, which are older and end within weeks."""


@pytest.fixture(scope="session")
def upstream(node: Node) -> Iterator[str]:
    """Run llmock, somebody else's OpenAI and Anthropic, on this machine, and give it a Service in the cluster."""
    serve = [sys.executable, "-c", LLMOCK, "serve", "--host", node.host, "--port", str(UPSTREAM_PORT)]
    with subprocess.Popen([*serve, "--response-style", "echo", "--log-level", "warning"]) as server:
        try:
            url = f"http://{node.host}:{UPSTREAM_PORT}"
            eventually(lambda: answers(f"{url}/health"))
            node.kubectl("create", "namespace", NAMESPACE)
            node.kubectl.apply(upstream_manifest(node, UPSTREAM_PORT))
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
    installed.kubectl.apply((MANIFESTS / "support.yaml").read_text())
    installed.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)
    return installed
