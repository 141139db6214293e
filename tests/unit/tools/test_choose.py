"""Which cluster is used, and that the user is told why."""

import pytest

from chatfleet_cluster.choose import KINDS, choose
from chatfleet_cluster.errors import ClusterError


@pytest.mark.parametrize(
    ("wanted", "node_exists", "docker", "kind", "why"),
    [
        ("current", True, True, "current", "CLUSTER=current says so"),
        ("kind", True, False, "kind", "CLUSTER=kind says so"),
        ("node", False, True, "node", "CLUSTER=node says so"),
        ("", True, True, "node", "it is one already"),
        ("", False, True, "kind", "a Docker engine answers"),
        ("", False, False, "node", "no Docker engine answers; CLUSTER=current would use your kubeconfig"),
    ],
)
def test_the_choice(wanted: str, kind: str, why: str, *, node_exists: bool, docker: bool) -> None:
    choice = choose(wanted, node_exists=node_exists, docker_answers=lambda: docker)

    assert kind == choice.kind
    assert choice.sentence().endswith(f": {why}.")


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ClusterError, match=f"CLUSTER=minikube is no kind .* {', '.join(KINDS)}"):
        choose("minikube", node_exists=False, docker_answers=lambda: False)


def test_docker_is_not_asked_when_the_user_has_decided() -> None:
    def ask() -> bool:
        raise AssertionError

    assert choose("node", node_exists=False, docker_answers=ask).kind == "node"
