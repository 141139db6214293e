"""A cluster on this machine itself: `node.py` as one of the kinds of cluster."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from chatfleet_cluster import binaries, components, node, preparation
from chatfleet_cluster.clusters import ComponentStatus, Status
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.images import Store, load
from chatfleet_cluster.layout import DNS_PORT, Layout, Ranges
from chatfleet_cluster.steps import Steps


class LocalCluster:
    """This machine itself."""

    kind = "node"

    def __init__(self, name: str, wanted: Ranges | None, environ: Mapping[str, str]) -> None:
        self._name = name
        self._wanted = wanted
        self._environ = environ

    def up(self, steps: Steps) -> None:
        """Bring it up."""
        node.up(self._name, self._wanted, self._environ, steps)

    def down(self, steps: Steps) -> bool:
        """Take it down."""
        return node.down(self._name, steps)

    def status(self) -> Status:
        """Look at its processes and ask its API server."""
        layout = preparation.recorded(self._name)
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
            host_address=str(layout.ranges.host),
            node_address=str(layout.ranges.node),
            dns=f"{layout.ranges.node}:{DNS_PORT}",
            link=str(layout.ranges.link),
            pods=str(layout.ranges.pods),
            services=str(layout.ranges.services),
            interface=layout.interface,
            components=parts,
        )

    def load(self, images: Sequence[str], steps: Steps) -> None:
        """Copy images of buildah's."""
        ctr = binaries.ensure(("ctr",), self._environ, steps)["ctr"]
        load(Store(self.layout(), ctr), images, steps)

    def kubeconfig(self) -> Path:
        """The file in the cluster's folder."""
        return self.layout().kubeconfig

    def layout(self) -> Layout:
        """Its layout; raise ClusterError when it is not up."""
        layout = preparation.recorded(self._name)
        if layout is None:
            raise ClusterError(f"There is no cluster {self._name}. Start it: chatfleet-cluster up --name {self._name}")
        return layout

    def _components(self, layout: Layout) -> dict[str, ComponentStatus]:
        processes = node.processes_of(layout)
        pids = {name: processes.pid(name) for name in components.NAMES}
        return {name: ComponentStatus(pid is not None, pid, str(layout.log(name))) for name, pid in pids.items()}
