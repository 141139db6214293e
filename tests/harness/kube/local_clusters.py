"""Clusters of the local cluster tool under test: driven by its command as a user does, and searched for traces."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.config_files import KERNEL_SETTINGS
from chatfleet_cluster.layout import LOCKS, folder_of, id_of, interface_of
from chatfleet_cluster.progress import Progress
from harness.kube.kubectl import Kubectl

TOOL = Path(sys.executable).with_name("chatfleet-cluster")
ENVIRONMENT = {**os.environ, "CLUSTER": "node"}
KUBERNETES_PLACES = (
    "/etc/kubernetes",
    "/opt/cni",
    "/opt/containerd",
    "/run/containerd",
    "/run/flannel",
    "/run/netns",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
"""Where the components would write if they were not told otherwise."""


@dataclass(frozen=True)
class Handle:
    """A cluster by its name, driven by the command as a user does."""

    name: str

    def command(self, verb: str, *arguments: str) -> list[str]:
        return [str(TOOL), verb, "--name", self.name, *arguments]

    def run(self, verb: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = self.command(verb, *arguments)
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    def do(self, verb: str, *arguments: str) -> str:
        """Run a command that must succeed."""
        done = self.run(verb, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.run("status", "--output", "json").stdout)
        return answer

    def pids(self) -> dict[str, int | None]:
        return {name: part["pid"] for name, part in self.status()["components"].items()}

    def kubectl(self) -> Kubectl:
        """Kubectl as its administrator."""
        program = binaries.ensure(["kubectl"], os.environ, Progress(Console(stderr=True)))["kubectl"]
        return Kubectl(program, Path(self.status()["kubeconfig"]))

    def traces(self) -> list[str]:
        """Everything on the machine that belongs to this cluster."""
        groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{id_of(self.name)}")]
        interfaces = [path.name for path in Path("/sys/class/net").iterdir() if path.name == interface_of(self.name)]
        files = [str(path) for path in (folder_of(self.name), LOCKS / f"{id_of(self.name)}.lock") if path.exists()]
        return [*groups, *interfaces, *files, *self._processes(), *self._routes()]

    def _processes(self) -> Iterator[str]:
        """Those that were started from its folder, or are in its group, or have any of its mounts."""
        mine = str(folder_of(self.name)) + "/", f"/{id_of(self.name)}/"
        for process in Path("/proc").glob("[0-9]*"):
            try:
                seen = [(process / file).read_text(errors="replace") for file in ("cmdline", "cgroup", "mountinfo")]
            except OSError:  # it ended meanwhile
                continue
            if process.name != str(os.getpid()) and any(each in text for each in mine for text in seen):
                yield f"process {process.name}: " + seen[0].replace("\0", " ")

    def _routes(self) -> list[str]:
        command = ["ip", "route", "show", "table", "all"]
        routes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [route for route in routes if f"dev {interface_of(self.name)} " in route]


def machine_state() -> dict[str, object]:
    """What every cluster could change on the machine without it bearing a name."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    interfaces = {path.name for path in Path("/sys/class/net").iterdir()}
    return {
        "kernel": {name: Path("/proc/sys", name).read_text() for name in KERNEL_SETTINGS},
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "iptables": [line.split(" [")[0] for line in rules.splitlines() if not line.startswith("#")],
        "interfaces": {name for name in interfaces if not name.startswith("cf-")},
        "places": {name: sorted(os.listdir(name)) for name in KUBERNETES_PLACES if Path(name).exists()},  # noqa: PTH208
    }


def handle(suffix: str) -> Handle:
    """A cluster with a name that no other run on this machine uses."""
    return Handle(f"t{os.getpid()}-{suffix}"[:12])
