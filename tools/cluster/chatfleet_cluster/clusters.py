"""The protocol of all kinds of clusters, so that demos and tests run on each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from chatfleet_cluster.progress import Progress


@dataclass(frozen=True)
class ComponentStatus:
    """One process of a node."""

    running: bool
    pid: int | None
    log: str


@dataclass(frozen=True)
class Status:
    """The state of a cluster; a field is empty where the kind of cluster lacks it or the cluster is down."""

    kind: str
    name: str
    ready: bool
    """The API server is ready and, for a node on this machine, every component runs."""
    kubeconfig: str = ""
    api_server: str = ""
    version: str = ""
    host_address: str = ""
    """Address at which pods reach a server on this machine."""
    node_address: str = ""
    dns: str = ""
    link: str = ""
    pods: str = ""
    services: str = ""
    interface: str = ""
    components: Mapping[str, ComponentStatus] = field(default_factory=dict)


class Cluster(Protocol):
    """A cluster, as the commands use it. Every method raises ClusterError with the remedy."""

    kind: str

    def up(self, progress: Progress) -> None:
        """Start it, and wait until it is ready; do nothing when it is."""

    def down(self, progress: Progress) -> bool:
        """Remove it; return whether there was anything to remove."""

    def status(self) -> Status: ...

    def load(self, images: Sequence[str], progress: Progress) -> None:
        """Load images that were built on this machine."""

    def kubeconfig(self) -> Path:
        """Return the path of the administrator's kubeconfig."""
