"""The command selects a kind of cluster, and prints the reason."""

import pytest

from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.which import KINDS, which


@pytest.mark.parametrize(
    ("wanted", "node_exists", "docker", "kind", "why"),
    [
        ("current", True, True, "current", "CLUSTER=current is set"),
        ("kind", True, False, "kind", "CLUSTER=kind is set"),
        ("node", False, True, "node", "CLUSTER=node is set"),
        ("", True, True, "node", "it exists already"),
        ("", False, True, "kind", "a Docker engine is running"),
        ("", False, False, "node", "no Docker engine is running; set CLUSTER=current to use your kubeconfig"),
    ],
)
def test_the_choice(wanted: str, kind: str, why: str, *, node_exists: bool, docker: bool) -> None:
    choice = which(wanted, node_exists=node_exists, docker_runs=lambda: docker)

    assert kind == choice.kind
    assert choice.sentence().endswith(f": {why}.")


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ClusterError, match=f"CLUSTER=minikube is invalid.* {', '.join(KINDS)}"):
        which("minikube", node_exists=False, docker_runs=lambda: False)


def test_docker_is_not_asked_when_the_user_has_decided() -> None:
    def ask() -> bool:
        raise AssertionError

    assert which("node", node_exists=False, docker_runs=ask).kind == "node"
