"""Two operators, one leader: who works when one of them leaves, dies, or falls asleep."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from chatfleet_operator.model.values import Ref
from harness.kube.kubectl import Kubectl
from harness.kube.operated_cluster import document
from harness.kube.operator_process import (
    ELECTION_SECONDS,
    NAMESPACE,
    OperatorProcess,
    account,
    cluster_wide,
    grant,
    operator,
)
from harness.polling import eventually


@pytest.fixture
def pair(kubectl: Kubectl, tmp_path: Path) -> Iterator[tuple[OperatorProcess, OperatorProcess]]:
    """Return the leader and the standby."""
    kubeconfig = account(kubectl, tmp_path)
    grant(kubectl, *cluster_wide())
    kubectl("delete", "lease", "--all", "-n", NAMESPACE)  # of the test before, whose leader may have died
    with ExitStack() as stack:
        started = [stack.enter_context(operator(kubeconfig, tmp_path / f"{name}.log", {})) for name in "ab"]
        eventually(lambda: any(each.leads() for each in started), seconds=ELECTION_SECONDS)
        leader, standby = sorted(started, key=OperatorProcess.leads, reverse=True)
        yield leader, standby


def apply(kubectl: Kubectl, name: str) -> None:
    kubectl.create_namespace(name)
    kubectl.apply(yaml.safe_dump(document(Ref(name, "support"))))


def served(kubectl: Kubectl, name: str) -> bool:
    return bool(kubectl("get", "deployment/support", "-n", name, "--ignore-not-found", "-o", "name"))


def test_a_standby_is_well_and_writes_nothing(kubectl: Kubectl, pair: tuple[OperatorProcess, OperatorProcess]) -> None:
    leader, standby = pair
    apply(kubectl, "leader-1")
    eventually(lambda: served(kubectl, "leader-1"))

    assert standby.writes() == {}
    assert leader.writes()
    assert [standby.get(path)[0] for path in ("/live", "/ready")] == [200, 200]


@pytest.mark.timed
def test_a_leader_that_leaves_hands_over_within_two_seconds(
    kubectl: Kubectl, pair: tuple[OperatorProcess, OperatorProcess]
) -> None:
    leader, standby = pair
    started = time.monotonic()
    assert leader.stop() == 0
    eventually(standby.leads, every=0.05)
    taken = time.monotonic() - started
    apply(kubectl, "leader-2")

    eventually(lambda: served(kubectl, "leader-2"))
    assert taken <= 3, "two seconds, and a moment for the process to end"


@pytest.mark.timed
def test_a_leader_that_dies_is_replaced_within_fifteen_seconds_and_its_work_is_taken_up(
    kubectl: Kubectl, pair: tuple[OperatorProcess, OperatorProcess]
) -> None:
    leader, standby = pair
    leader.kill()
    died = time.monotonic()
    apply(kubectl, "leader-3")
    eventually(lambda: served(kubectl, "leader-3"), seconds=20, every=0.1)

    assert time.monotonic() - died <= 15.5, "fifteen seconds, and a moment to look"
    assert standby.leads()


def test_a_leader_that_slept_writes_nothing_more_and_ends(
    kubectl: Kubectl, pair: tuple[OperatorProcess, OperatorProcess]
) -> None:
    leader, standby = pair
    leader.program.pause()
    standby.elected()
    apply(kubectl, "leader-4")
    eventually(lambda: served(kubectl, "leader-4"))
    before = kubectl.json("get", "deployment/support", "-n", "leader-4")["metadata"]["resourceVersion"]
    leader.program.resume()

    assert leader.program.exit_status() == 1
    assert kubectl.json("get", "deployment/support", "-n", "leader-4")["metadata"]["resourceVersion"] == before
    assert standby.leads()
    holder = kubectl.json("get", "lease/chatfleet-operator", "-n", NAMESPACE)["spec"]["holderIdentity"]
    assert holder
