"""The API server alone: it decides as a whole cluster's does, and it never outlives its test."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from chatfleet_cluster.controlplane import ControlPlane, running
from chatfleet_cluster.progress import Progress
from harness.kube.kubectl import Kubectl
from harness.polling import eventually

HOLD = """
import os, time
from rich.console import Console
from chatfleet_cluster.controlplane import running
from chatfleet_cluster.progress import Progress
with running(os.environ, Progress(Console(stderr=True))) as plane:
    print(plane.folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module", name="plane")
def _plane() -> Iterator[ControlPlane]:
    with running(os.environ, Progress(Console(stderr=True))) as plane:
        yield plane


def processes(folder: Path) -> list[str]:
    """The processes that were started with a path in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{folder}/" in (process / "cmdline").read_text():
                found.append(process.name)
        except OSError:  # it ended meanwhile
            continue
    return found


def test_it_checks_rights(plane: ControlPlane) -> None:
    kubectl = Kubectl(plane.kubectl, plane.kubeconfig)

    kubectl("get", "secrets")
    with pytest.raises(AssertionError, match='User "somebody" cannot list resource "secrets"'):
        kubectl("get", "secrets", "--as=somebody")


def test_it_applies_the_admission_rules_of_a_namespace(plane: ControlPlane) -> None:
    kubectl = Kubectl(plane.kubectl, plane.kubeconfig)
    kubectl("label", "namespace", "default", "pod-security.kubernetes.io/enforce=restricted")
    kubectl("create", "serviceaccount", "default")

    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        kubectl("run", "pod", "--image=x.org/a")


def test_several_run_beside_each_other(plane: ControlPlane) -> None:
    with running(os.environ, Progress(Console(stderr=True))) as other:
        assert "default" in Kubectl(other.kubectl, other.kubeconfig)("get", "namespaces")
        assert other.server != plane.server


def test_nothing_of_it_is_left_at_the_end() -> None:
    with running(os.environ, Progress(Console(stderr=True))) as plane:
        assert len(processes(plane.folder)) == 2

    assert processes(plane.folder) == []
    assert not plane.folder.exists()


def test_it_ends_when_the_test_run_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        folder = Path(run.stdout.readline().strip())
        assert len(processes(folder)) == 2
        os.kill(run.pid, signal.SIGKILL)

    eventually(lambda: not processes(folder))
    shutil.rmtree(folder)
