"""`node.py` as a `Cluster`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from chatfleet_cluster import binaries, bootstrap, components, node
from chatfleet_cluster.clusters import ComponentStatus, Status
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.images import Store, load
from chatfleet_cluster.layout import DNS_PORT, CIDRs, Layout
from chatfleet_cluster.progress import Progress


class LocalCluster:
    """A node on this machine."""

    kind = "node"

    def __init__(self, name: str, wanted: CIDRs | None, environ: Mapping[str, str]) -> None:
        self._name = name
        self._wanted = wanted
        self._environ = environ

    def up(self, progress: Progress) -> None:
        node.up(self._name, self._wanted, self._environ, progress)

    def down(self, progress: Progress) -> bool:
        return node.down(self._name, progress)

    def status(self) -> Status:
        layout = bootstrap.load_layout(self._name)
        if layout is None:
            return Status(self.kind, self._name, ready=False)
        parts = self._components(layout)
        api = node.api_of(layout)
        return Status(
            self.kind,
            self._name,
            ready=all(part.running for part in parts.values()) and api.node_ready(layout.id),
            kubeconfig=str(layout.kubeconfig),
            api_server=layout.api_server,
            version=api.version(),
            host_address=str(layout.cidrs.host),
            node_address=str(layout.cidrs.node),
            dns=f"{layout.cidrs.node}:{DNS_PORT}",
            link=str(layout.cidrs.link),
            pods=str(layout.cidrs.pods),
            services=str(layout.cidrs.services),
            interface=layout.interface,
            components=parts,
        )

    def load(self, images: Sequence[str], progress: Progress) -> None:
        """Copy images from buildah."""
        ctr = binaries.ensure(("ctr",), self._environ, progress)["ctr"]
        load(Store(self.layout(), ctr), images, progress)

    def kubeconfig(self) -> Path:
        """Return the kubeconfig in the cluster's folder."""
        return self.layout().kubeconfig

    def layout(self) -> Layout:
        """Return its layout; raise ClusterError when it does not exist."""
        layout = bootstrap.load_layout(self._name)
        if layout is None:
            raise ClusterError(
                f"Cluster {self._name} does not exist. Start it: chatfleet-cluster up --name {self._name}"
            )
        return layout

    def _components(self, layout: Layout) -> dict[str, ComponentStatus]:
        processes = node.processes_of(layout)
        pids = {name: processes.pid(name) for name in components.NAMES}
        return {name: ComponentStatus(pid is not None, pid, str(layout.log(name))) for name, pid in pids.items()}
