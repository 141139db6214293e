"""What every kind of cluster can do, so that a demo or a test need not know on which it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from chatfleet_cluster.steps import Steps


@dataclass(frozen=True)
class ComponentStatus:
    """One process of a node."""

    running: bool
    pid: int | None
    log: str


@dataclass(frozen=True)
class Status:
    """What is known of a cluster; empty where a kind of cluster has no such thing, or is down."""

    kind: str
    name: str
    ready: bool
    """The API server answers and, on this machine, every component runs."""
    kubeconfig: str = ""
    api_server: str = ""
    version: str = ""
    host_address: str = ""
    """Where pods reach a server that listens on this machine."""
    node_address: str = ""
    dns: str = ""
    link: str = ""
    pods: str = ""
    services: str = ""
    interface: str = ""
    components: Mapping[str, ComponentStatus] = field(default_factory=dict)


class Cluster(Protocol):
    """What commands do with a cluster. Every method raises ClusterError with the remedy."""

    kind: str

    def up(self, steps: Steps) -> None:
        """Make it answer."""

    def down(self, steps: Steps) -> bool:
        """Remove it; return whether there was anything to remove."""

    def status(self) -> Status:
        """Look at it."""

    def load(self, images: Sequence[str], steps: Steps) -> None:
        """Give it images that were built on this machine."""

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
