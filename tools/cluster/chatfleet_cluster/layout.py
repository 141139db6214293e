"""The layout of one cluster: its names, paths, addresses and ports. Pure.

Every name derives from the cluster's own, so that two clusters share nothing, and each finds what it left behind even
after a crash.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from chatfleet_cluster.errors import ClusterError

DEFAULT_NAME = "local"
STATE = Path("/var/lib/chatfleet")
"""On a real disk: the container images are overlay layers, which a tmpfs cannot always carry."""
LOCKS = Path("/run/lock")

API_PORT = 6443
DNS_PORT = 53
DNS_READY_PORT = 8181
PROXY_HEALTH_PORT = 10256

DNS_DOMAIN = "cluster.local"
STORAGE_CLASS = "standard"
PAUSE_IMAGE = "chatfleet.local/pause:1"

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?")


@dataclass(frozen=True)
class CIDRs:
    """The three address ranges of a cluster: the link to this machine, its pods, its Services."""

    link: IPv4Network
    pods: IPv4Network
    services: IPv4Network

    @property
    def host(self) -> IPv4Address:
        """This machine's end of the link: what pods dial to reach a server that listens here."""
        return self.link[1]

    @property
    def node(self) -> IPv4Address:
        """The node's end of the link: API server, DNS, node ports."""
        return self.link[2]

    @property
    def api_service(self) -> IPv4Address:
        """The cluster address of the Service `kubernetes`: always the first one of the range."""
        return self.services[1]

    def __iter__(self) -> Iterator[IPv4Network]:
        yield from (self.link, self.pods, self.services)


@dataclass(frozen=True)
class Layout:
    name: str
    cidrs: CIDRs

    @property
    def id(self) -> str:
        """The name of the node, the kubeconfig's context, and the control group that holds every process."""
        return id_of(self.name)

    @property
    def interface(self) -> str:
        """This machine's end of the link to the cluster."""
        return interface_of(self.name)

    @property
    def folder(self) -> Path:
        """The folder of all files of the cluster."""
        return folder_of(self.name)

    @property
    def record(self) -> Path:
        """The cluster's address ranges; written last, so that with it every other file is complete."""
        return self.folder / "cluster.json"

    @property
    def ready(self) -> Path:
        """Present once the namespaces are set up."""
        return self.folder / "namespaces.ready"

    @property
    def run(self) -> Path:
        """What processes of the cluster see as /run: sockets, shims, pod network namespaces."""
        return self.folder / "run"

    @property
    def var_log(self) -> Path:
        """What processes of the cluster see as /var/log: the containers' logs."""
        return self.folder / "var-log"

    @property
    def volumes(self) -> Path:
        """The folders behind PersistentVolumes."""
        return self.folder / "volumes"

    @property
    def containerd_socket(self) -> Path:
        """Containerd's socket; the same path inside and outside the namespaces."""
        return self.folder / "containerd.sock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig" / "admin"

    @property
    def api_server(self) -> str:
        """The address of the API server, reachable from this machine and from pods."""
        return f"https://{self.cidrs.node}:{API_PORT}"

    def log(self, component: str) -> Path:
        """The log of a component."""
        return self.folder / "logs" / f"{component}.log"

    def pid_file(self, component: str) -> Path:
        """The process id of a component; true only while that process is in the component's control group."""
        return self.folder / "pids" / component

    def certificate(self, name: str) -> tuple[Path, Path]:
        """A certificate and its private key."""
        return self.folder / "pki" / f"{name}.crt", self.folder / "pki" / f"{name}.key"


def check_name(name: str) -> str:
    """Return `name` if it is valid; raise ClusterError otherwise."""
    if not _NAME.fullmatch(name):
        raise ClusterError(
            f"--name {name!r} is invalid. Use at most 12 lower-case letters, digits and dashes, "
            "starting with a letter and ending with a letter or digit."
        )
    return name


def id_of(name: str) -> str:
    """The name of the cluster in namespaces that it shares with others."""
    return f"chatfleet-{name}"


def interface_of(name: str) -> str:
    """The interface of the cluster called `name`; at most 15 characters, the kernel's limit."""
    return f"cf-{name}"


def folder_of(name: str) -> Path:
    """The folder of the cluster called `name`."""
    return STATE / name
