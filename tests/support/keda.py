"""KEDA itself, built from its Go module and installed by its own manifests, and Debian's Prometheus beside the node."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.steps import Steps
from support.kube import eventually
from support.node import Node, load

IMAGE = "chatfleet.local/keda:test"
PROMETHEUS_PORT = 9090
DOCKERFILE = "FROM scratch\nCOPY --chmod=755 keda keda-adapter /\nUSER 10001:10001\n"


def install_keda(node: Node, folder: Path) -> None:
    """Install KEDA without its admission webhook, and wait until its metrics are served."""
    programs = binaries.ensure(("keda-operator", "keda-adapter"), os.environ, Steps(Console(stderr=True)))
    shutil.copy(programs["keda-operator"], folder / "keda")
    shutil.copy(programs["keda-adapter"], folder / "keda-adapter")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    build = ("buildah", "build", "--quiet", "--isolation", "chroot", "--tag", IMAGE, str(folder))
    subprocess.run(build, check=True, capture_output=True)
    load(IMAGE)
    node.kubectl.apply(_manifests(node))
    served = "apiservice/v1beta1.external.metrics.k8s.io"
    node.kubectl("wait", served, "--for=condition=Available", "--timeout=120s", timeout=130)


def _manifests(node: Node) -> str:
    source = binaries.SOURCES / "keda"
    asked = ("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2")
    module = subprocess.run(asked, cwd=source, check=True, capture_output=True, text=True).stdout.strip()
    shipped = yaml.safe_load_all(node.kubectl("kustomize", f"{module}/config/default"))
    return yaml.safe_dump_all([_ours(each) for each in shipped if each and "admission" not in each["metadata"]["name"]])


def _ours(manifest: dict[str, Any]) -> dict[str, Any]:
    """Let a Deployment run our image."""
    if manifest["kind"] == "Deployment":
        pod = manifest["spec"]["template"]["spec"]
        pod["securityContext"]["runAsUser"] = 10001
        pod["containers"][0] |= {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}
    return manifest


def require_prometheus() -> None:
    """Say what is missing before anything is built."""
    if shutil.which("prometheus") is None:
        raise RuntimeError("There is no prometheus on the PATH; install it: apt-get install prometheus")


@contextmanager
def prometheus(node: Node, folder: Path, targets: dict[str, dict[str, str]]) -> Iterator[None]:
    """Run Prometheus on this machine; it scrapes each of `targets`, an address with its labels, every 2 s."""
    scraped = [{"targets": [address], "labels": labels} for address, labels in targets.items()]
    config = {
        "global": {"scrape_interval": "2s"},
        "scrape_configs": [{"job_name": "chatfleet", "static_configs": scraped}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = (
        *("prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address={node.host}:{PROMETHEUS_PORT}",
    )
    with (folder / "prometheus.log").open("ab") as log, subprocess.Popen(command, stderr=log) as server:
        try:
            eventually(lambda: "ready to receive" in (folder / "prometheus.log").read_text())
            yield
        finally:
            server.terminate()
