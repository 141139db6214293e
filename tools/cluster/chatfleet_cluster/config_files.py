"""The configuration files of the components, from a cluster's layout. Pure: text in, text out.

Every setting that is not the program's default has its reason beside it.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import yaml

from chatfleet_cluster.layout import (
    DNS_DOMAIN,
    DNS_PORT,
    DNS_READY_PORT,
    PAUSE_IMAGE,
    STORAGE_CLASS,
    Layout,
)

CNI_PLUGINS = "/usr/lib/cni"
"""The folder of Debian's package."""
PROVISIONER = "chatfleet.io/local"
OWN_STATE = ("cni", "kubelet")
"""Folders under /var/lib that components use regardless of their flags; each cluster mounts its own there."""
KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""What a kubelet sets at start, and refuses to start without (`setupKernelTunables` in its source)."""


def kubeconfig(server: str, name: str, *, authority: bytes, pair: tuple[bytes, bytes]) -> str:
    """A kubeconfig with embedded certificates: `authority` and `pair` (certificate, key) are PEM."""
    certificate, key = (base64.b64encode(pem).decode() for pem in pair)
    return _yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": base64.b64encode(authority).decode(),
                    },
                }
            ],
            "users": [{"name": name, "user": {"client-certificate-data": certificate, "client-key-data": key}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


def namespaces(layout: Layout, host_process: int) -> str:
    """The shell script that the first process of a cluster runs in its new mount and network namespaces.

    From the host's view there is only the interface, which goes when this namespace goes. Its other end is made in
    here and never outside, so there is no moment at which a kill leaves half of it behind.
    `host_process` is any process of the host's network namespace.
    """
    cidrs, prefix = layout.cidrs, layout.cidrs.link.prefixlen
    outside = f"nsenter --net=/proc/{host_process}/ns/net"
    return f"""\
set -eu
# What Kubernetes keeps in fixed places on a machine lies in this cluster's folder instead.
mount --bind {layout.var_log} /var/log
mount --bind {layout.run} /run
mkdir -p /run/lock /run/var-lib
mount -t tmpfs tmpfs /run/var-lib
for entry in /var/lib/*/; do
  name=$(basename "$entry")
  case $name in {"|".join(OWN_STATE)}) continue ;; esac
  mkdir "/run/var-lib/$name"
  mount --rbind "$entry" "/run/var-lib/$name"
done
mount --move /run/var-lib /var/lib

# A kubelet sets these for the whole machine. Here it sets copies.
for setting in {" ".join(KERNEL_SETTINGS)}; do
  copy={layout.folder}/kernel/$(echo $setting | tr / -)
  cat /proc/sys/$setting >$copy
  mount --bind $copy /proc/sys/$setting
done

# A kubelet and its pods share mounts. Only now: from here on, what is mounted below one of the places above would be
# mounted again below its origin, and every start of a pod reads the list of all mounts several times.
mount --make-rshared /

ip link set lo up
ip link add cf0 type veth peer name {layout.interface} netns {host_process}
ip addr add {cidrs.node}/{prefix} dev cf0
ip link set cf0 up
echo 1 > /proc/sys/net/ipv4/ip_forward
# There is no way out. Let every attempt fail at once, not only the first in a second.
echo 0 > /proc/sys/net/ipv4/icmp_ratelimit

{outside} ip link set {layout.interface} alias {layout.id}
{outside} ip addr add {cidrs.host}/{prefix} dev {layout.interface}
{outside} ip link set {layout.interface} up
{outside} ip route add {cidrs.pods} via {cidrs.node} dev {layout.interface}
{outside} ip route add {cidrs.services} via {cidrs.node} dev {layout.interface}

touch {layout.ready}
exec sleep infinity
"""


def containerd(layout: Layout) -> str:
    return f"""\
version = 3
root = "{layout.folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[grpc]
address = "{layout.containerd_socket}"

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins.'io.containerd.cri.v1.runtime']
# Some machines' root may not lower the score; without this, every pod dies at start there.
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{layout.folder}/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def cni(layout: Layout) -> str:
    """The pods' network: a link of its own for each pod, everything between pods is routed.

    Not a bridge: between two pods on a bridge, answers of a Service bypass the address translation unless the kernel
    has one more module.
    """
    pod_link: dict[str, Any] = {
        "type": "ptp",
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(layout.cidrs.pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": layout.id, "plugins": [pod_link, ports]}, indent=2)


def kubelet(layout: Layout) -> str:
    certificate, key = layout.certificate("kubelet")
    authority, _ = layout.certificate("ca")
    return _yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": str(layout.cidrs.node),
            "healthzPort": 0,
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "authentication": {
                "x509": {"clientCAFile": str(authority)},
                "webhook": {"enabled": True},
                "anonymous": {"enabled": False},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            "cgroupDriver": "cgroupfs",  # no systemd is asked to manage groups
            "cgroupRoot": f"/{layout.id}",  # a kubelet removes groups it does not know: each cluster has its own root
            "failCgroupV1": False,  # refused by default since 1.35; many machines still have it
            "failSwapOn": False,
            "clusterDomain": DNS_DOMAIN,
            "clusterDNS": [str(layout.cidrs.node)],
            "resolvConf": str(layout.folder / "config" / "resolv.conf"),  # empty: nothing outside is resolved
            "volumePluginDir": str(layout.folder / "volume-plugins"),
            "podLogsDir": "/var/log/pods",
            # The disk is shared with whatever else is on the machine, and images cannot be pulled again.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "serializeImagePulls": False,
        }
    )


def kube_proxy(layout: Layout, kubeconfig_path: str) -> str:
    return _yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": kubeconfig_path},
            "mode": "iptables",
            "clusterCIDR": str(layout.cidrs.pods),
            "hostnameOverride": layout.id,
            "conntrack": {"maxPerCore": 0},  # the kernel lets only the first network namespace set it
            "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        }
    )


def corefile(kubeconfig_path: str) -> str:
    """Serves the cluster's names only."""
    return f"""\
.:{DNS_PORT} {{
    errors
    ready :{DNS_READY_PORT}
    cache 5
    kubernetes {DNS_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig_path}
        ttl 5
    }}
}}
"""


def storage_class() -> Mapping[str, Any]:
    """The default storage class; it binds a volume when its pod is scheduled, as clouds do."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False)
