"""The control groups of a cluster: the kernel's record of which processes belong to it.

Every component starts in a group of its own below the cluster's, and no child can leave it. So nothing is ever killed
by a remembered process id, and nothing is forgotten, whatever died half-way. On machines with the older hierarchies
too (version 1), these only carry the pods' limits; the record is always the version 2 hierarchy.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chatfleet_cluster.errors import ClusterError


@dataclass(frozen=True)
class Hierarchies:
    """Where the machine's control group hierarchies are mounted."""

    record: Path
    """Version 2."""
    limits: tuple[Path, ...]
    """Version 1, one per controller; empty where version 2 has the controllers."""


def parse_hierarchies(mounts: str) -> Hierarchies:
    """Find the hierarchies in the text of /proc/mounts; raise ClusterError when there is no version 2."""
    rows = [line.split() for line in mounts.splitlines()]
    record = [Path(row[1]) for row in rows if row[2] == "cgroup2"]
    if not record:
        raise ClusterError(
            "The control group version 2 hierarchy is not mounted; it holds the record of the cluster's processes. "
            "Mount it: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
        )
    return Hierarchies(record[0], tuple(Path(row[1]) for row in rows if row[2] == "cgroup"))


def hierarchies() -> Hierarchies:
    """Return the hierarchies of this machine."""
    return parse_hierarchies(Path("/proc/mounts").read_text())


class Group:
    """The control groups of one cluster."""

    def __init__(self, name: str, where: Hierarchies) -> None:
        self._record = where.record / name
        self._limits = tuple(folder / name for folder in where.limits)
        self._where = where

    def create(self) -> None:
        """Make the groups where they are missing, ready for a kubelet to put pods below them."""
        for folder in (self._record, *self._limits):
            folder.mkdir(exist_ok=True)
        if not (self._record / "cgroup.kill").exists():
            raise ClusterError("The kernel has no cgroup.kill. Use Linux 5.14 or newer.")
        for folder in self._limits:
            for setting in ("cpuset.cpus", "cpuset.mems"):  # empty in a new group, which then takes no process
                if (folder / setting).exists():
                    (folder / setting).write_text((folder.parent / setting).read_text())
        if not self._limits:
            controllers = (self._where.record / "cgroup.controllers").read_text().split()
            for folder in (self._where.record, self._record):
                (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))

    def entry(self, component: str) -> Path:
        """The file into which a process writes 0 to enter the component's group, which is made if missing."""
        (self._record / component).mkdir(exist_ok=True)
        return self._record / component / "cgroup.procs"

    def processes(self, component: str) -> frozenset[int]:
        """The component's processes and their children."""
        try:
            return frozenset(map(int, (self._record / component / "cgroup.procs").read_text().split()))
        except OSError:  # the group is not there, or is just going
            return frozenset()

    def exists(self) -> bool:
        return any(folder.exists() for folder in (self._record, *self._limits))

    def kill(self) -> None:
        """Kill all processes of the cluster, pods included, at once."""
        with suppress(FileNotFoundError):
            (self._record / "cgroup.kill").write_text("1")

    def remove(self, wait: Callable[[Callable[[], bool], str], None]) -> None:
        """Remove the groups as soon as the killed processes are gone."""
        for top in (self._record, *self._limits):
            wait(partial(_removed, top), f"the processes in {top} to end")


def _removed(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        with suppress(OSError):  # still has a process, or has gone by itself
            Path(folder).rmdir()
    return not top.exists()
