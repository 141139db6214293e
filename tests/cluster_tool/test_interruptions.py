"""A cluster whose tool was stopped half-way can be brought up to its end, or removed without a trace."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from chatfleet_cluster.layout import folder_of
from harness.kube.local_clusters import ENVIRONMENT, Handle, handle, machine_state
from harness.polling import eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(name="cluster")
def _cluster() -> Iterator[Handle]:
    cluster = handle("x")
    yield cluster
    cluster.do("down")


def stop_half_way(cluster: Handle, moment: str, number: signal.Signals) -> str:
    """Run `up`, stop it by the signal as soon as the file `moment` is in the cluster's folder; return what it said."""
    reached = folder_of(cluster.name) / moment
    # A shell starts what runs in its background with Ctrl-C ignored, and that is inherited: these tests may run there.
    interruptible = ["env", "--default-signal=INT", *cluster.command("up")]
    with subprocess.Popen(interruptible, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as tool:
        eventually(reached.exists, every=0.002)
        os.kill(tool.pid, number)
        _, said = tool.communicate()
    assert tool.returncode != 0
    return said


@pytest.mark.parametrize(
    "moment", ["pki/ca.crt", "config/namespaces.sh", "pids/namespaces", "pids/kube-apiserver", "pids/coredns"]
)
def test_after_a_kill_down_removes_everything(cluster: Handle, moment: str) -> None:
    before = machine_state()
    stop_half_way(cluster, moment, signal.SIGKILL)

    cluster.do("down")

    assert cluster.traces() == []
    assert machine_state() == before


@pytest.mark.parametrize("moment", ["config/namespaces.sh", "pids/kubelet"])
def test_after_a_kill_up_brings_it_to_the_end(cluster: Handle, moment: str) -> None:
    stop_half_way(cluster, moment, signal.SIGKILL)

    cluster.do("up")

    assert cluster.status()["ready"]


def test_an_interrupted_up_says_how_to_go_on(cluster: Handle) -> None:
    said = stop_half_way(cluster, "pids/kube-apiserver", signal.SIGINT)

    assert f"`chatfleet-cluster up --name {cluster.name}` resumes; `down` removes the cluster." in said
    assert "Traceback" not in said


def test_when_its_namespaces_are_gone_a_cluster_is_made_anew(cluster: Handle) -> None:
    """As after a restart of the machine: the folder is there, and no process."""
    stop_half_way(cluster, "pids/containerd", signal.SIGKILL)
    os.kill(cluster.pids()["namespaces"] or 0, signal.SIGKILL)

    cluster.do("up")

    assert cluster.status()["ready"]
