"""The files of a new cluster: folders, keys, kubeconfigs, the components' configuration, and last the record."""

import json
from dataclasses import asdict
from datetime import datetime
from ipaddress import IPv4Network

from chatfleet_cluster import certificates, components, config_files
from chatfleet_cluster.layout import CIDRs, Layout, folder_of

FOLDERS = ("cni", "config", "kernel", "kubeconfig", "logs", "pids", "run", "var-log", "volume-plugins", "volumes")


def prepare(layout: Layout, *, host_process: int, now: datetime) -> None:
    """Write everything. The record comes last: a folder without it is not complete."""
    layout.folder.mkdir(parents=True, mode=0o700)  # keys, and folders that every user of a pod may write
    for folder in FOLDERS:
        (layout.folder / folder).mkdir()
    pki = layout.folder / "pki"
    certificates.write_pki(pki, components.identities(layout), now)
    for client in components.CLIENTS:
        _write_kubeconfig(layout, client)
    for name, text in _config_files(layout, host_process).items():
        (layout.folder / name).write_text(text)
    layout.record.write_text(json.dumps({key: str(value) for key, value in asdict(layout.cidrs).items()}))


def load_layout(name: str) -> Layout | None:
    """Return the layout of the cluster called `name`; None when it is not completely prepared."""
    try:
        cidrs = json.loads((folder_of(name) / "cluster.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return Layout(name, CIDRs(**{key: IPv4Network(value) for key, value in cidrs.items()}))


def _config_files(layout: Layout, host_process: int) -> dict[str, str]:
    kubeconfig = f"{layout.folder}/kubeconfig"
    return {
        "config/namespaces.sh": config_files.namespaces(layout, host_process),
        "config/containerd.toml": config_files.containerd(layout),
        "config/kubelet.yaml": config_files.kubelet(layout),
        "config/kube-proxy.yaml": config_files.kube_proxy(layout, f"{kubeconfig}/kube-proxy"),
        "config/Corefile": config_files.corefile(f"{kubeconfig}/coredns"),
        "config/resolv.conf": "",
        "cni/10-pods.conflist": config_files.cni(layout),
    }


def _write_kubeconfig(layout: Layout, client: str) -> None:
    certificate, key = layout.certificate(client)
    text = config_files.kubeconfig(
        layout.api_server,
        layout.id,
        authority=layout.certificate("ca")[0].read_bytes(),
        pair=(certificate.read_bytes(), key.read_bytes()),
    )
    (layout.folder / "kubeconfig" / client).write_text(text)
