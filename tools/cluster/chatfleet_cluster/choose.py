"""Which kind of cluster to use: what `CLUSTER` says, else what the machine has."""

from collections.abc import Callable
from dataclasses import dataclass

from chatfleet_cluster.errors import ClusterError

KINDS = ("current", "kind", "node")


@dataclass(frozen=True)
class Choice:
    """A kind of cluster and why it was taken."""

    kind: str
    reason: str

    def sentence(self) -> str:
        """One line for the user."""
        meaning = {
            "current": "Using the cluster of your kubeconfig",
            "kind": "Using kind, a cluster in Docker",
            "node": "Using this machine as the node of a cluster",
        }
        return f"{meaning[self.kind]}: {self.reason}."


def choose(wanted: str, *, node_exists: bool, docker_answers: Callable[[], bool]) -> Choice:
    """Decide by `wanted`, the value of CLUSTER, or by what is there when it is empty.

    A node that is up keeps being chosen, so that `down` ends what `up` began, whatever has been installed since.
    """
    if wanted:
        if wanted not in KINDS:
            raise ClusterError(f"CLUSTER={wanted} is no kind of cluster. Use one of {', '.join(KINDS)}, or unset it.")
        return Choice(wanted, f"CLUSTER={wanted} says so")
    if node_exists:
        return Choice("node", "it is one already")
    if docker_answers():
        return Choice("kind", "a Docker engine answers")
    return Choice("node", "no Docker engine answers; CLUSTER=current would use your kubeconfig")
