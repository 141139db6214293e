"""One real node with Chatfleet, whose own metrics API server is switched off, and a name for a Prometheus."""

from collections.abc import Iterator

import pytest

from harness.kube.keda import install_keda
from harness.kube.node import MANIFESTS, Node, install, running_node
from harness.kube.prometheus import name_prometheus, require_prometheus
from harness.kube.scaled import Scaled
from harness.polling import eventually


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Start the node; there is no Prometheus yet."""
    require_prometheus()
    with running_node() as started:
        install(started, "metricsAPIServer.enabled=false")
        name_prometheus(started)
        yield started


@pytest.fixture(scope="session")
def sleepy(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Scaled:
    """Install KEDA, and let it work on a ChatDeployment that may sleep."""
    install_keda(node, tmp_path_factory.mktemp("keda"))
    node.kubectl.apply((MANIFESTS / "sleepy.yaml").read_text())
    eventually(lambda: node.kubectl("get", "scaledobject/sleepy", "-n", "asleep"), seconds=90)
    node.kubectl.wait("deployment/sleepy-activator", "Available", namespace="asleep")
    return Scaled(node, "asleep", "sleepy")
