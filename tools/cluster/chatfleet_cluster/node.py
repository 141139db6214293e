"""The main module of this tool: the start and the removal of a cluster on this machine.

Both take the cluster from whatever state it is in, so both can be repeated, interrupted and killed at any moment.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from chatfleet_cluster import binaries, bootstrap, cgroups, cidrs, components, config_files, images, requirements
from chatfleet_cluster.api import Api, http_answers
from chatfleet_cluster.components import CONTAINERD, NAMESPACES
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.layout import (
    DNS_READY_PORT,
    LOCKS,
    PROXY_HEALTH_PORT,
    STORAGE_CLASS,
    CIDRs,
    Layout,
    folder_of,
    id_of,
    interface_of,
)
from chatfleet_cluster.locks import locked
from chatfleet_cluster.processes import Processes
from chatfleet_cluster.progress import Progress
from chatfleet_cluster.waiting import wait_until

PATIENCE = 180.0
"""Seconds that a component may take to become ready; a few are usual, a machine under load needs more."""


def up(name: str, wanted: CIDRs | None, environ: Mapping[str, str], progress: Progress) -> Layout:
    """Start the cluster, or resume an interrupted start; return when its node is Ready.

    Starts what does not run. Data survives as long as the cluster's namespaces do; what is left of a cluster that
    lost these is removed first.
    """
    requirements.check()
    programs = binaries.ensure(binaries.NODE, environ, progress)
    with _alone(name, progress):
        layout = _resumed(name, wanted) or _created(name, wanted, progress)
        processes = processes_of(layout)
        with progress.step("Starting etcd, containerd and the API server"):
            _start_control_plane(layout, processes, programs)
        with progress.step("Starting the node"):
            _start_node(layout, processes, programs)
    return layout


def down(name: str, progress: Progress) -> bool:
    """Remove every trace of the cluster; return whether there was any."""
    requirements.check_root(sys.platform, os.geteuid())
    with _alone(name, progress):
        if not (_group(name).exists() or folder_of(name).exists()):
            return False
        with progress.step(f"Removing cluster {name}"):
            _remove(name)
        return True


def _alone(name: str, progress: Progress) -> AbstractContextManager[None]:
    return locked(LOCKS / f"{id_of(name)}.lock", progress, what=f"up or down of cluster {name}")


def _group(name: str) -> cgroups.Group:
    return cgroups.Group(id_of(name), cgroups.hierarchies())


def _resumed(name: str, wanted: CIDRs | None) -> Layout | None:
    """Return the layout of the running cluster; None when it must be created."""
    layout = bootstrap.load_layout(name)
    if layout is None or not layout.ready.exists() or processes_of(layout).pid(NAMESPACES) is None:
        return None
    if wanted not in {None, layout.cidrs}:
        raise ClusterError(
            f"Cluster {name} is up with other address ranges. Remove it first: chatfleet-cluster down --name {name}"
        )
    return layout


def _created(name: str, wanted: CIDRs | None, progress: Progress) -> Layout:
    _remove(name)
    with locked(LOCKS / "chatfleet-ranges.lock", progress, what="the choice of address ranges"):
        if interface_path(name).exists():
            raise ClusterError(
                f"Interface {interface_of(name)} exists and does not belong to this tool. Use another --name."
            )
        layout = Layout(name, cidrs.choose(wanted, cidrs.machine_routes()))
        with progress.step(f"Creating network and keys of cluster {name}"):
            bootstrap.prepare(layout, host_process=os.getpid(), now=datetime.now(UTC))
            _group(name).create()
            processes_of(layout).start_namespaces(layout.folder / "config" / "namespaces.sh")
    return layout


def _start_control_plane(layout: Layout, processes: Processes, programs: Mapping[str, Path]) -> None:
    for component in components.control_plane(layout, programs):
        processes.start(component)
    _until(layout.containerd_socket.exists, processes, CONTAINERD)
    images.load_pause(images.Store(layout, programs["ctr"]), programs["pause"])
    api = api_of(layout)
    _until(lambda: api.answers("/readyz"), processes, "kube-apiserver")


def _start_node(layout: Layout, processes: Processes, programs: Mapping[str, Path]) -> None:
    for component in components.node(layout, programs):
        processes.start(component)
    api, node = api_of(layout), layout.cidrs.node
    storage_class = f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}"
    _until(lambda: api.apply(storage_class, config_files.storage_class()), processes, "kube-apiserver")
    account = "/api/v1/namespaces/default/serviceaccounts/default"  # pods need it
    _until(lambda: api.answers(account), processes, "kube-controller-manager")
    _until(lambda: http_answers(f"http://{node}:{PROXY_HEALTH_PORT}/healthz"), processes, "kube-proxy")
    _until(lambda: http_answers(f"http://{node}:{DNS_READY_PORT}/ready"), processes, "coredns")
    _until(lambda: api.node_ready(layout.id), processes, "kubelet")


def _until(ready: Callable[[], bool], processes: Processes, component: str) -> None:
    def ready_or_stopped() -> bool:
        processes.check(component)
        return ready()

    wait_until(ready_or_stopped, f"{component} to become ready", seconds=PATIENCE)


def inside(layout: Layout, command: Sequence[str]) -> list[str]:
    """The command that runs `command` in the cluster's namespaces, as one of its processes."""
    entry = _group(layout.name).entry("exec")
    return ["sh", "-c", 'echo 0 > "$0" && exec "$@"', str(entry), *processes_of(layout).enter(), *command]


def processes_of(layout: Layout) -> Processes:
    return Processes(layout, _group(layout.name))


def api_of(layout: Layout) -> Api:
    return Api(layout.api_server, layout.folder / "pki")


def _remove(name: str) -> None:
    """Kill, then delete. The kernel removes mounts with the namespaces, and routes with the interface."""
    group = _group(name)
    if group.exists():
        group.kill()
        group.remove(wait_until)
        # The kernel keeps a namespace as long as connections in it die, up to a minute: it is not waited for.
        subprocess.run(["ip", "link", "delete", interface_of(name)], check=False, capture_output=True)
        wait_until(lambda: not interface_path(name).exists(), f"interface {interface_of(name)} to go")
    _remove_folder(folder_of(name))


def interface_path(name: str) -> Path:
    """This path exists as long as this machine's end of the link to the cluster."""
    return Path("/sys/class/net") / interface_of(name)


def _remove_folder(folder: Path) -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [mount for mount in mounts if Path(mount).is_relative_to(folder)]
    if inside:  # none of ours: those are in the cluster's own namespace
        raise ClusterError(
            f"{folder} contains mounts that are not of this tool. Unmount them: umount {' '.join(inside)}"
        )
    if folder.exists():
        shutil.rmtree(folder)
