"""What the components are told, where it is not what they would do by themselves."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatfleet_cluster import components, config_files
from chatfleet_cluster.cidrs import SLOTS
from chatfleet_cluster.layout import Layout

ONE = Layout("one", SLOTS[0])
TWO = Layout("two", SLOTS[1])


def kubelet(layout: Layout) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(config_files.kubelet(layout))
    return settings


def test_a_kubeconfig_holds_everything_it_needs() -> None:
    config = yaml.safe_load(config_files.kubeconfig("https://x:1", "me", authority=b"A", pair=(b"C", b"K")))

    assert config["current-context"] == "me"
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    assert cluster["server"] == "https://x:1"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"A"
    assert base64.b64decode(user["client-certificate-data"]) == b"C"
    assert base64.b64decode(user["client-key-data"]) == b"K"


def test_a_kubelet_touches_no_groups_of_another_cluster() -> None:
    assert kubelet(ONE)["cgroupRoot"] == "/chatfleet-one"
    assert kubelet(TWO)["cgroupRoot"] == "/chatfleet-two"


def test_a_kubelet_accepts_a_machine_with_old_control_groups_and_swap() -> None:
    assert kubelet(ONE)["failCgroupV1"] is False
    assert kubelet(ONE)["failSwapOn"] is False


def test_a_full_disk_does_not_cost_images_that_cannot_be_pulled_again() -> None:
    assert kubelet(ONE)["imageGCHighThresholdPercent"] == 100


def test_pods_ask_the_node_for_names_and_the_node_asks_nobody() -> None:
    assert kubelet(ONE)["clusterDNS"] == ["198.51.100.2"]
    assert kubelet(ONE)["resolvConf"] == "/var/lib/chatfleet/one/config/resolv.conf"
    assert "forward" not in config_files.corefile("x")


def test_a_cluster_has_no_route_out() -> None:
    script = config_files.namespaces(ONE, host_process=42)

    assert "default" not in script
    assert [line for line in script.splitlines() if "route add" in line and "nsenter --net=/proc/42" not in line] == []


def test_the_link_is_made_inside_the_namespace_so_that_it_ends_with_it() -> None:
    script = config_files.namespaces(ONE, host_process=42)

    assert "\nip link add cf0 type veth peer name cf-one netns 42\n" in script


def test_the_kernel_settings_of_the_machine_are_hidden_from_the_kubelet() -> None:
    assert "for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic" in config_files.namespaces(ONE, 1)


def test_state_that_components_keep_in_fixed_places_is_not_the_machines() -> None:
    assert "case $name in cni|kubelet) continue" in config_files.namespaces(ONE, 1)


def test_pods_get_addresses_of_their_cluster_only() -> None:
    plugins = json.loads(config_files.cni(TWO))["plugins"]

    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": "198.18.16.0/20"}]]


def test_containerd_starts_pods_from_our_own_image() -> None:
    assert 'sandbox = "chatfleet.local/pause:1"' in config_files.containerd(ONE)
    assert 'snapshotter = "overlayfs"' in config_files.containerd(ONE)


def test_the_storage_class_is_the_default_and_waits_for_the_pod() -> None:
    storage = config_files.storage_class()

    assert storage["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert storage["volumeBindingMode"] == "WaitForFirstConsumer"


def commands(layout: Layout) -> dict[str, tuple[str, ...]]:
    programs = dict.fromkeys((*components.NAMES, "ctr"), Path("/bin/program"))
    every = (*components.control_plane(layout, programs), *components.node(layout, programs))
    return {component.name: component.command for component in every}


def test_every_component_is_known_by_its_name() -> None:
    assert [components.NAMESPACES, *commands(ONE)] == list(components.NAMES)


@pytest.mark.parametrize(
    ("component", "flag"),
    [
        ("etcd", "--unsafe-no-fsync"),
        ("kube-apiserver", "--enable-aggregator-routing=true"),
        ("kube-apiserver", "--requestheader-client-ca-file=/var/lib/chatfleet/one/pki/front-proxy-ca.crt"),
        ("kube-apiserver", "--authorization-mode=Node,RBAC"),
        ("kube-apiserver", "--service-account-issuer=https://kubernetes.default.svc.cluster.local"),
        ("kube-controller-manager", "--horizontal-pod-autoscaler-sync-period=5s"),
        ("kube-controller-manager", "--leader-elect=false"),
        ("kube-scheduler", "--leader-elect=false"),
        ("kubelet", "--hostname-override=chatfleet-one"),
        ("storage", "-root=/var/lib/chatfleet/one/volumes"),
    ],
)
def test_a_component_is_given_the_flag(component: str, flag: str) -> None:
    assert flag in commands(ONE)[component]


def test_two_clusters_share_no_path_and_no_address() -> None:
    of_one = ("/chatfleet/one", str(ONE.cidrs.node), *map(str, ONE.cidrs))
    words = [word for command in commands(TWO).values() for word in command]

    assert not [word for word in words if any(each in word for each in of_one)]
