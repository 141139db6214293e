"""The checks before a cluster starts on this machine: system, user, packages, disk space."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from chatfleet_cluster.binaries import check_space
from chatfleet_cluster.config_files import CNI_PLUGINS
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.layout import STATE

STATE_SPACE = 3 * 2**30
"""Bytes that a cluster with a few images writes."""

PACKAGES = {
    "buildah": "buildah",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "runc": "runc",
    f"{CNI_PLUGINS}/ptp": "containernetworking-plugins",
}
"""Program -> its Debian package."""


def check() -> None:
    """Raise ClusterError, naming the remedy, unless a cluster can start on this machine."""
    check_root(sys.platform, os.geteuid())
    missing = missing_packages(PACKAGES, shutil.which)
    if missing:
        raise ClusterError(
            f"Debian packages are missing: {' '.join(missing)}. "
            f"Install them: apt-get install --no-install-recommends {' '.join(missing)}"
        )
    check_space(Path(STATE), STATE_SPACE, "for a cluster")


def check_root(system: str, user: int) -> None:
    """Raise ClusterError unless root on Linux."""
    remedy = "or set CLUSTER=current to use the cluster of your kubeconfig."
    if system != "linux":
        raise ClusterError(f"A node runs on Linux only; this is {system}. Start a Docker engine for kind, {remedy}")
    if user != 0:
        raise ClusterError(f"A node needs root for namespaces, mounts and routes. Use sudo, {remedy}")


def missing_packages(programs: Iterable[str], which: Callable[[str], str | None]) -> list[str]:
    """The packages of those programs that are not there, in order."""
    return sorted({PACKAGES[program] for program in programs if which(program) is None})
