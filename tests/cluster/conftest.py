"""One real API server for all tests of this folder, with the CustomResourceDefinition established."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from chatfleet_cluster import controlplane
from chatfleet_cluster.steps import Steps
from support.chatdeployments import ChatDeployments
from support.kube import Kubectl

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """Start etcd and kube-apiserver, and nothing else: no controller runs, no pod is made."""
    with controlplane.running(os.environ, Steps(Console(stderr=True))) as plane:
        kubectl = Kubectl(plane.kubectl, plane.kubeconfig)
        kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/chatdeployments.chatfleet.io")
        yield kubectl


@pytest.fixture(scope="session")
def chatdeployments(kubectl: Kubectl) -> Iterator[ChatDeployments]:
    """Connect to the resource without kubectl: hundreds of requests in a second."""
    with ChatDeployments.connect(kubectl.kubeconfig) as connected:
        yield connected
