"""Which kind of cluster to use: the value of `CLUSTER`, else what the machine has."""

from collections.abc import Callable
from dataclasses import dataclass

from chatfleet_cluster.errors import ClusterError

KINDS = ("current", "kind", "node")


@dataclass(frozen=True)
class Choice:
    """A kind of cluster and the reason for it."""

    kind: str
    reason: str

    def sentence(self) -> str:
        meaning = {
            "current": "Using the cluster of your kubeconfig",
            "kind": "Using kind, a cluster in Docker",
            "node": "Using a node on this machine",
        }
        return f"{meaning[self.kind]}: {self.reason}."


def which(wanted: str, *, node_exists: bool, docker_runs: Callable[[], bool]) -> Choice:
    """Return the kind by `wanted`, the value of CLUSTER, or by what the machine has when it is empty.

    An existing node has precedence over Docker, so that `down` removes what `up` created.
    """
    if wanted:
        if wanted not in KINDS:
            raise ClusterError(f"CLUSTER={wanted} is invalid. Use one of {', '.join(KINDS)}, or unset it.")
        return Choice(wanted, f"CLUSTER={wanted} is set")
    if node_exists:
        return Choice("node", "it exists already")
    if docker_runs():
        return Choice("kind", "a Docker engine is running")
    return Choice("node", "no Docker engine is running; set CLUSTER=current to use your kubeconfig")
