"""One real API server for all tests of this folder, with the CustomResourceDefinition established."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from chatfleet_cluster import controlplane
from chatfleet_cluster.progress import Progress
from chatfleet_contract import names
from harness.kube.chatdeployments import ChatDeployments
from harness.kube.kubectl import Kubectl
from harness.polling import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """Start etcd and kube-apiserver, and nothing else: no controller runs, no pod is made."""
    with controlplane.running(os.environ, Progress(Console(stderr=True))) as plane:
        kubectl = Kubectl(plane.kubectl, plane.kubeconfig)
        kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        eventually(lambda: kubectl("get", "--raw", f"/apis/{names.API_VERSION}/{names.PLURAL}"))
        yield kubectl


@pytest.fixture(scope="session")
def chatdeployments(kubectl: Kubectl) -> Iterator[ChatDeployments]:
    """Connect to the resource without kubectl: hundreds of requests in a second."""
    with ChatDeployments.connect(kubectl.kubeconfig) as connected:
        yield connected
