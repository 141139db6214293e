"""What the tool asks of a machine, and how it refuses one that cannot carry a cluster."""

import re
from pathlib import Path

import pytest

from chatfleet_cluster.cgroups import Hierarchies, parse_hierarchies
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.requirements import PACKAGES, check_root, missing_packages

ROOT = Path(__file__).parents[3]
V1 = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n"
HYBRID = V1 + "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
V2 = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"


def test_root_on_linux_is_accepted() -> None:
    check_root("linux", 0)


@pytest.mark.parametrize(
    ("system", "user", "message"),
    [("linux", 1000, "needs root for .*Use sudo, or .*CLUSTER=current"), ("darwin", 0, "on Linux only.*kind")],
)
def test_others_are_refused_with_a_way_on(system: str, user: int, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        check_root(system, user)


def test_missing_programs_are_told_by_the_packages_that_have_them() -> None:
    present = {"ip", "runc", "nsenter", "buildah"}

    missing = missing_packages(PACKAGES, lambda program: program if program in present else None)

    assert missing == ["conntrack", "containernetworking-plugins", "iptables"]


def test_every_package_is_one_that_the_setup_installs() -> None:
    listed = re.findall(r"^([a-z0-9-]+)\s+#", (ROOT / "tools" / "apt-packages.txt").read_text(), re.MULTILINE)

    assert set(PACKAGES.values()) - {"util-linux"} <= set(listed)  # Debian cannot be without util-linux


@pytest.mark.parametrize(
    ("mounts", "found"),
    [
        (V2, Hierarchies(Path("/sys/fs/cgroup"), ())),
        (
            HYBRID,
            Hierarchies(Path("/sys/fs/cgroup/unified"), (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/pids"))),
        ),
    ],
)
def test_both_layouts_of_control_groups_are_understood(mounts: str, found: Hierarchies) -> None:
    assert found == parse_hierarchies(mounts)


def test_without_the_record_of_processes_the_user_is_told_how_to_mount_it() -> None:
    with pytest.raises(ClusterError, match=r"version 2 hierarchy is not mounted.*mount -t cgroup2"):
        parse_hierarchies(V1)
