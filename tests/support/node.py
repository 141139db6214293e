"""The real node of the end-to-end tests: how it is reached, and what runs on it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.kube import Kubectl

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "tests/e2e/manifests"
CLUSTER = "e2e"
UPSTREAM_PORT = 9100
SYSTEM = "chatfleet-system"
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
    helm_binary: Path
    host: str
    """Address of this machine as pods see it."""

    def helm(self, *args: str) -> str:
        """Run helm in the operator's namespace; a failure raises with its words."""
        command = [str(self.helm_binary), "--kubeconfig", str(self.kubectl.kubeconfig), "--namespace", SYSTEM, *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            raise AssertionError(f"helm {' '.join(args)}: {done.stderr}{done.stdout}")
        return done.stdout

    def service(self, name: str, namespace: str = NAMESPACE) -> str:
        """Return the URL of a Service as this machine reaches it."""
        spec = self.kubectl.json("get", "service", name, "-n", namespace)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"


def cluster_tool(*args: str, timeout: float = 1800) -> str:
    """Run the cluster's own command; its progress goes to the terminal."""
    command = [str(ROOT / ".venv/bin/chatfleet-cluster"), *args]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=timeout).stdout
