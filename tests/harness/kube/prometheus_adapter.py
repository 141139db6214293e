"""The prometheus-adapter of Kubernetes SIGs beside a node, with the rules that our documents ship."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.progress import Progress
from harness.kube.node import MANIFESTS, ROOT, Node
from harness.kube.prometheus import PORT as PROMETHEUS_PORT
from harness.polling import eventually
from harness.process import started

PORT = 6443
DOCUMENT = ROOT / "docs/guide/autoscaling.md"
RULES = re.compile(r"## With prometheus-adapter.*?```yaml\n(.*?)```", re.DOTALL)
SERVICES = ("v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io")
KUBECONFIGS = ("lister", "authentication", "authorization")


def documented_rules() -> str:
    """Return the rules as a reader of our documents copies them."""
    (rules,) = RULES.findall(DOCUMENT.read_text())
    return str(rules)


@contextmanager
def prometheus_adapter(node: Node, folder: Path) -> Iterator[None]:
    """Run the adapter on this machine as the one that serves `custom.metrics.k8s.io`."""
    programs = binaries.ensure(("prometheus-adapter",), os.environ, Progress(Console(stderr=True)))
    (folder / "rules.yaml").write_text(documented_rules())
    command = (
        *(str(programs["prometheus-adapter"]), f"--config={folder / 'rules.yaml'}"),
        *(f"--prometheus-url=http://{node.host}:{PROMETHEUS_PORT}", "--metrics-relist-interval=5s"),
        *(f"--bind-address={node.host}", f"--secure-port={PORT}", f"--cert-dir={folder / 'certificates'}"),
        *(f"--{purpose}-kubeconfig={node.kubectl.kubeconfig}" for purpose in KUBECONFIGS),
    )
    node.kubectl.apply((MANIFESTS / "prometheus-adapter.yaml").read_text().replace("HOST", node.host))
    with started("adapter", command, folder=folder):
        try:
            available = ("wait", "apiservice", "--all", "--for=condition=Available", "--timeout=5s")
            eventually(lambda: node.kubectl(*available), seconds=90)
            yield
        finally:
            node.kubectl("delete", "apiservice", *SERVICES)
