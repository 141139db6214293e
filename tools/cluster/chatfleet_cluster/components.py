"""The processes of a cluster and their command lines, in the order in which they start. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chatfleet_cluster.certificates import Identity
from chatfleet_cluster.config_files import PROVISIONER
from chatfleet_cluster.layout import API_PORT, DNS_DOMAIN, Layout

NAMESPACES = "namespaces"
CONTAINERD = "containerd"
ETCD_ADDRESS = "http://127.0.0.1:2379"
"""Loopback of the cluster's own network namespace: no other process of the machine reaches it."""
CLIENTS = ("admin", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "storage")
"""The clients with a kubeconfig."""
MASTERS = "system:masters"
NAMES = (
    NAMESPACES,
    "etcd",
    CONTAINERD,
    "kube-apiserver",
    "kubelet",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "coredns",
    "storage",
)
"""All components in the order in which they start; the first makes the cluster's namespaces and keeps them."""


@dataclass(frozen=True)
class Component:
    """One process: its name in `status` and `logs`, and how it is started."""

    name: str
    command: tuple[str, ...]


def identities(layout: Layout) -> tuple[tuple[str, Identity], ...]:
    """The certificate of each part, by file name."""
    node = layout.cidrs.node
    service = tuple(f"kubernetes.default{suffix}" for suffix in ("", ".svc", f".svc.{DNS_DOMAIN}"))
    return (
        ("admin", Identity("admin", MASTERS)),
        ("kube-apiserver", Identity("kube-apiserver", "", service, (node, layout.cidrs.api_service))),
        ("kube-apiserver-to-kubelet", Identity("kube-apiserver-to-kubelet", MASTERS)),
        ("kube-controller-manager", Identity("system:kube-controller-manager")),
        ("kube-scheduler", Identity("system:kube-scheduler")),
        ("kubelet", Identity(f"system:node:{layout.id}", "system:nodes", (layout.id,), (node,))),
        ("kube-proxy", Identity("system:kube-proxy")),
        # These two run beside the cluster, where nobody but root reaches their keys: no rules of their own for them.
        ("coredns", Identity("coredns", MASTERS)),
        ("storage", Identity("storage", MASTERS)),
    )


def control_plane(layout: Layout, programs: Mapping[str, Path]) -> tuple[Component, ...]:
    """The components that start first, independently of each other."""
    containerd = (str(programs["containerd"]), f"--config={layout.folder}/config/containerd.toml")
    return (
        Component("etcd", (str(programs["etcd"]), *etcd_flags(layout.folder / "etcd", ETCD_ADDRESS))),
        Component(CONTAINERD, containerd),
        Component("kube-apiserver", (str(programs["kube-apiserver"]), *_api_server_flags(layout))),
    )


def node(layout: Layout, programs: Mapping[str, Path]) -> tuple[Component, ...]:
    """The components that start once the API server is ready."""
    config = layout.folder / "config"

    def component(name: str, *flags: str) -> Component:
        return Component(name, (str(programs[name]), *flags))

    def kubeconfig(name: str) -> str:
        return f"--kubeconfig={layout.folder}/kubeconfig/{name}"

    return (
        component(
            "kubelet",
            f"--config={config}/kubelet.yaml",
            kubeconfig("kubelet"),
            f"--root-dir={layout.folder}/kubelet",
            f"--hostname-override={layout.id}",  # the machine's name need not resolve
            f"--node-ip={layout.cidrs.node}",
        ),
        component("kube-controller-manager", kubeconfig("kube-controller-manager"), *_controller_flags(layout)),
        component("kube-scheduler", kubeconfig("kube-scheduler"), "--leader-elect=false"),
        component("kube-proxy", f"--config={config}/kube-proxy.yaml"),
        component("coredns", f"-conf={config}/Corefile"),
        component("storage", kubeconfig("storage"), f"-provisioner={PROVISIONER}", f"-root={layout.volumes}"),
    )


def etcd_flags(folder: Path, address: str) -> tuple[str, ...]:
    """A single member that keeps its data in `folder` and serves at `address`, an URL of http or of a unix socket."""
    any_free_port = "http://127.0.0.1:0"
    return (
        f"--data-dir={folder}",
        f"--listen-client-urls={address}",
        f"--advertise-client-urls={any_free_port}",  # there are no peers
        f"--listen-peer-urls={any_free_port}",
        "--unsafe-no-fsync",  # the data does not outlive the cluster
        "--log-level=warn",
    )


def api_server_flags(pki: Path, etcd: str, services: str) -> tuple[str, ...]:
    """The flags of every API server here, with a node or without."""
    return (
        f"--etcd-servers={etcd}",
        f"--service-cluster-ip-range={services}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/kube-apiserver.crt",
        f"--tls-private-key-file={pki}/kube-apiserver.key",
        f"--service-account-issuer=https://kubernetes.default.svc.{DNS_DOMAIN}",
        f"--service-account-key-file={pki}/service-accounts.key",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
        "--enable-aggregator-routing=true",  # aggregated APIs are reached at their pods' addresses
    )


def _api_server_flags(layout: Layout) -> tuple[str, ...]:
    certificate, key = layout.certificate("kube-apiserver-to-kubelet")
    authority, _ = layout.certificate("ca")
    return (
        *api_server_flags(authority.parent, ETCD_ADDRESS, str(layout.cidrs.services)),
        f"--advertise-address={layout.cidrs.node}",
        f"--secure-port={API_PORT}",
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP",  # the node's name does not resolve
        f"--kubelet-certificate-authority={authority}",
        f"--kubelet-client-certificate={certificate}",
        f"--kubelet-client-key={key}",
    )


def controller_flags(pki: Path) -> tuple[str, ...]:
    """The flags of every controller manager here, with a node or without."""
    return (
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/service-accounts.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--kube-api-qps=500",  # the default of 20 makes the controllers start one by one, 4 s in all
        "--kube-api-burst=1000",
        "--horizontal-pod-autoscaler-sync-period=5s",  # autoscaling within a test's patience
    )


def _controller_flags(layout: Layout) -> tuple[str, ...]:
    authority, _ = layout.certificate("ca")
    return (
        *controller_flags(authority.parent),
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={layout.cidrs.pods}",
        f"--node-cidr-mask-size={layout.cidrs.pods.prefixlen}",  # one node: it has all of them
        f"--flex-volume-plugin-dir={layout.folder}/volume-plugins",
    )
