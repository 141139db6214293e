"""Where rows are played."""

from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from chatfleet_lab.faults.driver import Driver
from chatfleet_lab.faults.fault import Case, Row
from chatfleet_lab.faults.processes import POD, Processes
from chatfleet_lab.faults.rows.manifests import storage_class
from chatfleet_lab.faults.tools import Workshop
from harness.kube.controllers import operated_by
from harness.kube.node import Node, install, running_node
from harness.kube.objects import Objects
from harness.redis.server import redis_server

CLUSTER = "faults"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@contextmanager
def api_server(at_once: int) -> Iterator[Driver]:
    """Start an API server of its own, all controllers, and the operator with its own defaults; there is no kubelet."""
    with (
        TemporaryDirectory(prefix="chatfleet-faults-") as folder,
        operated_by(Path(folder), POD, "--horizontal-pod-autoscaler-sync-period=1s") as (kubectl, leader),
        closing(Processes(kubectl, Path(folder), leader)) as processes,
    ):
        objects = Objects.connect(kubectl.kubeconfig)
        standard = storage_class("standard")
        objects.apply({**standard, "metadata": {"name": "standard", "annotations": {DEFAULT_CLASS: "true"}}})

        async def equip(_row: Row, case: Case, _stack: AsyncExitStack) -> None:
            case.tools = processes

        yield Driver(objects, "API server", at_once, equip=equip)


@contextmanager
def node(at_once: int) -> Iterator[Driver]:
    """Start a real node with the chart installed."""
    with running_node(CLUSTER) as started:
        install(started)
        with on_node(started, at_once, CLUSTER) as driver:
            yield driver


@contextmanager
def on_node(running: Node, at_once: int, cluster: str) -> Iterator[Driver]:
    """Play on a node that runs."""
    with (
        TemporaryDirectory(prefix="chatfleet-faults-") as folder,
        redis_server(Path(folder) / "shared") as url,
    ):
        workshop = Workshop(running, Path(folder), cluster, urlsplit(url).port or 0)
        objects = Objects.connect(running.kubectl.kubeconfig)
        yield Driver(objects, "node", at_once, equip=workshop.equip)
