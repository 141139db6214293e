"""One real node with Chatfleet, KEDA and a ChatDeployment that may sleep."""

from collections.abc import Iterator

import pytest

from support.keda import PROMETHEUS_PORT, install_keda, require_prometheus
from support.kube import eventually
from support.node import MANIFESTS, Node, install, running_node

MONITORING = "monitoring"


@pytest.fixture(scope="session")
def sleepy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Start the node, with KEDA at work on the ChatDeployment; there is no Prometheus yet."""
    require_prometheus()
    with running_node() as node:
        install(node)
        install_keda(node, tmp_path_factory.mktemp("keda"))
        node.kubectl("create", "namespace", MONITORING)
        upstream = (MANIFESTS / "upstream.yaml").read_text().replace("HOST", node.host)
        named = upstream.replace("namespace: shop", f"namespace: {MONITORING}").replace("upstream", "prometheus")
        node.kubectl.apply(named.replace("9100", str(PROMETHEUS_PORT)))
        node.kubectl.apply((MANIFESTS / "sleepy.yaml").read_text())
        eventually(lambda: node.kubectl("get", "scaledobject/sleepy", "-n", "asleep"), seconds=90)
        node.kubectl.wait("deployment/sleepy-waiting-room", "Available", namespace="asleep")
        yield node
