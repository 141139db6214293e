"""The real node of the end-to-end tests: how it is reached, and what runs on it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.progress import Progress
from chatfleet_contract.names import ENV_POD_NAME
from harness.kube.helm import CHART, Helm
from harness.kube.kubectl import Kubectl
from harness.net import free_port

ROOT = Path(__file__).resolve().parents[3]
MANIFESTS = ROOT / "tests/e2e/manifests"
CLUSTER = f"e2e{os.environ.get('PYTEST_XDIST_WORKER', '')}"
"""Each worker of pytest-xdist has a cluster of its own."""
UPSTREAM_PORT = free_port()
NAMESPACE = "shop"
OPERATOR_IMAGE = "chatfleet.local/operator:dev"
API_IMAGE = "chatfleet.local/api:dev"
REDIS_IMAGE = "chatfleet.local/redis:dev"
IMAGES = {"operator.image": OPERATOR_IMAGE, "api.image": API_IMAGE, "redis.image": REDIS_IMAGE}
"""Images by the chart value that names each."""


@dataclass(frozen=True)
class Node:
    """A cluster, and how to reach it."""

    kubectl: Kubectl
    helm: Helm
    host: str
    """Address of this machine as pods see it."""

    def service(self, name: str, namespace: str = NAMESPACE) -> str:
        """Return the URL of a Service as this machine reaches it."""
        spec = self.kubectl.json("get", "service", name, "-n", namespace)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"


def upstream_manifest(node: Node, port: int) -> str:
    """Return the Service by which pods reach what listens at `port` of this machine."""
    manifest = (MANIFESTS / "upstream.yaml").read_text()
    return manifest.replace("<HOST>", node.host).replace("<PORT>", str(port))


def install(node: Node, *values: str) -> None:
    """Install the chart as the README says, with our images and further `values` (`name=value`), and wait for it."""
    images = (f"{value}={image}" for value, image in IMAGES.items())
    sets = [part for value in (*images, *values) for part in ("--set", value)]
    node.helm("install", "chatfleet", str(CHART), "--create-namespace", "--wait", *sets)


@contextmanager
def running_node(name: str = CLUSTER) -> Iterator[Node]:
    """Start a cluster of our own with our images in it; CHATFLEET_E2E_KEEP=1 leaves it up for a look."""
    try:
        yield started_node(name)
    finally:
        if not os.environ.get("CHATFLEET_E2E_KEEP"):
            remove(name)


def remove(name: str) -> None:
    """Remove the cluster of this name, if there is one."""
    _cluster(name, "down")


def started_node(name: str) -> Node:
    """Start the cluster of this name, unless it is up, and give it our images, unless it has them."""
    _run(str(ROOT / "tools/images/build"))
    _cluster(name, "up")
    _cluster(name, "load", *IMAGES.values())
    return node_of(name)


def node_of(name: str) -> Node:
    """Return how a cluster that is up is reached."""
    told = json.loads(_cluster(name, "status", "--output", "json"))
    tools = binaries.ensure(("kubectl", "helm"), os.environ, Progress(Console(stderr=True)))
    kubeconfig = Path(told["kubeconfig"])
    helm = Helm(tools["helm"], ("--kubeconfig", str(kubeconfig)))
    return Node(Kubectl(tools["kubectl"], kubeconfig), helm, told["host_address"])


def load(*images: str) -> None:
    """Give the running node further images."""
    _cluster(CLUSTER, "load", *images)


def component(name: str, cluster: str = CLUSTER) -> int:
    """Return the id, on this machine, of a process of a running cluster of ours."""
    pid: int = json.loads(_cluster(cluster, "status", "--output", "json"))["components"][name]["pid"]
    return pid


def _cluster(name: str, verb: str, *args: str) -> str:
    return _run(str(ROOT / ".venv/bin/chatfleet-cluster"), verb, "--name", name, *args)


def _run(*command: str) -> str:
    """Run a command whose progress goes to the terminal, and return what it printed."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=1800).stdout


def process_of(pod: str) -> int:
    """Return the id, on this machine, of the process in a pod of ours beside its init; `LookupError`: there is none."""
    mark = f"{ENV_POD_NAME}={pod}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is the kernel's
            is_init = (process / "comm").read_text() == "tini\n"
            if not is_init and mark in (process / "environ").read_bytes().split(b"\0"):
                return int(process.name)
    raise LookupError(f"no process of pod {pod}")
