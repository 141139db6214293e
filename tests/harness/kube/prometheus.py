"""Debian's Prometheus beside a node: it scrapes the API pods that there are."""

import json
import shutil
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatfleet_contract.names import COMPONENT_API, LABEL_COMPONENT, PORT_HEALTH
from harness.kube.node import Node, upstream_manifest
from harness.net import free_port
from harness.process import await_ready, started

PORT = free_port()
"""Where Prometheus listens on this machine."""
SERVICE_PORT = 9090
"""Where it is reached inside the cluster."""
MONITORING = "monitoring"
SCRAPE_SECONDS = 2
LIST_SECONDS = 1.0
NOBODY = 1
"""A port at which no pod listens."""


def require_prometheus() -> None:
    """Say what is missing before anything is built."""
    for program in ("prometheus", "promtool"):
        if shutil.which(program) is None:
            raise RuntimeError(f"There is no {program} on the PATH; install it: apt-get install prometheus")


def name_prometheus(node: Node) -> None:
    """Give Prometheus a name inside the cluster, whether it runs or not."""
    node.kubectl("create", "namespace", MONITORING)
    upstream = upstream_manifest(node, PORT).replace("port: 9100}", f"port: {SERVICE_PORT}}}")
    node.kubectl.apply(
        upstream.replace("namespace: shop", f"namespace: {MONITORING}").replace("upstream", "prometheus")
    )


@dataclass
class Prometheus:
    """A running server."""

    url: str
    unreadable: set[str] = field(default_factory=set)
    """Names of pods that are asked at a port where nobody answers."""

    def ask(self, query: str) -> dict[str, float]:
        """Return what a query is worth, by pod; a sum stands under no name."""
        asked = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310  # our own server
            found = json.load(answer)["data"]["result"]
        return {series["metric"].get("pod", ""): float(series["value"][1]) for series in found}


@contextmanager
def prometheus(node: Node, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus on this machine with its data in `folder`. It scrapes every 2 s.

    Debian builds it without discovery in Kubernetes; a file of targets, renewed every second, stands in for that.
    """
    targets = folder / "targets.json"
    scraped = {"job_name": "chatfleet", "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]}
    config = {"global": {"scrape_interval": f"{SCRAPE_SECONDS}s"}, "scrape_configs": [scraped]}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = (
        *("prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address={node.host}:{PORT}",
    )
    server = Prometheus(f"http://{node.host}:{PORT}")
    with started("prometheus", command, folder=folder) as program, _discovery(node, server, targets):
        await_ready(program, lambda: "ready to receive" in program.log.read_text(), seconds=30)
        yield server


@contextmanager
def _discovery(node: Node, server: Prometheus, targets: Path) -> Iterator[None]:
    stopped = threading.Event()

    def go_on() -> None:
        while not stopped.wait(LIST_SECONDS):
            with suppress(AssertionError):  # the API server is away: the last known stay, as with the real discovery
                pods = node.kubectl.json("get", "pods", "-A", "-l", f"{LABEL_COMPONENT}={COMPONENT_API}")["items"]
                beside = targets.with_suffix(".new")
                beside.write_text(json.dumps([_target(pod, server) for pod in pods if pod["status"].get("podIP")]))
                beside.rename(targets)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _target(pod: dict[str, Any], server: Prometheus) -> dict[str, Any]:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    port = NOBODY if name in server.unreadable else PORT_HEALTH
    return {"targets": [f"{pod['status']['podIP']}:{port}"], "labels": {"namespace": namespace, "pod": name}}
