"""KEDA itself, built from its Go module and installed by its own manifests."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.progress import Progress
from harness.kube.node import Node, load

IMAGE = "chatfleet.local/keda:test"
DOCKERFILE = "FROM scratch\nCOPY --chmod=755 keda keda-adapter /\nUSER 10001:10001\n"


def install_keda(node: Node, folder: Path) -> None:
    """Install KEDA without its admission webhook, and wait until its metrics are served."""
    programs = binaries.ensure(("keda-operator", "keda-adapter"), os.environ, Progress(Console(stderr=True)))
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
