"""Clusters that are not this machine: the user's own, and kind's."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.kind import KindCluster, docker_runs
from chatfleet_cluster.kubeconfig_cluster import KubeconfigCluster, api_server
from chatfleet_cluster.progress import Progress

STEPS = Progress(Console(stderr=True))
Program = Callable[[str, str], Path]


@pytest.fixture(name="program")
def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a shell script on the PATH in place of a program; each notes its call in `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\n{script}\n')
        path.chmod(0o755)
        return path

    return make


def config(folder: Path) -> Path:
    path = folder / "config"
    content = {
        "current-context": "work",
        "contexts": [{"name": "home", "context": {}}, {"name": "work", "context": {"cluster": "w"}}],
        "clusters": [{"name": "w", "cluster": {"server": "https://work:6443"}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_first_file_of_the_variable_is_the_kubeconfig(tmp_path: Path) -> None:
    path = config(tmp_path)

    assert path == KubeconfigCluster({"KUBECONFIG": f"{path}:/other"}).kubeconfig()
    assert api_server(path) == "https://work:6443"


def test_without_the_variable_it_lies_in_the_home_folder(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    path = config(tmp_path / ".kube")

    assert path == KubeconfigCluster({"HOME": str(tmp_path)}).kubeconfig()


def test_a_missing_kubeconfig_is_named() -> None:
    with pytest.raises(ClusterError, match=r"/nowhere/.kube/config is not a file. Set KUBECONFIG"):
        KubeconfigCluster({"HOME": "/nowhere"}).kubeconfig()


@pytest.mark.parametrize("content", ["", "{}", "a: [", "current-context: x\ncontexts: []\nclusters: []"])
def test_a_kubeconfig_without_a_current_cluster_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)

    with pytest.raises(ClusterError, match=f"{tmp_path}/config has no current context"):
        api_server(tmp_path / "config")


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, program: Program) -> None:
    program("kubectl", "exit 1")
    environ = {"KUBECONFIG": str(config(tmp_path)), "PATH": os.environ["PATH"]}

    with pytest.raises(ClusterError, match="https://work:6443, is not ready"):
        KubeconfigCluster(environ).up(STEPS)


def test_images_are_not_put_into_a_cluster_of_the_user() -> None:
    with pytest.raises(ClusterError, match=r"Cannot load images into .*Push x\.org/a "):
        KubeconfigCluster({}).load(["x.org/a"], STEPS)


@pytest.fixture(name="kind")
def _kind(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> KindCluster:
    script = program("kind", f'[ "$1" = get ] && cat {tmp_path}/clusters; exit 0')
    (tmp_path / "clusters").touch()
    monkeypatch.setattr(binaries, "ensure", lambda *_: {"kind": script})
    return KindCluster("local", {"XDG_CACHE_HOME": str(tmp_path)})


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_kind_creates_a_cluster_with_a_kubeconfig_of_its_own(tmp_path: Path, kind: KindCluster) -> None:
    kind.up(STEPS)

    own = f"{tmp_path}/chatfleet/cluster/kubeconfig/chatfleet-local"
    assert calls(tmp_path)[1:] == [f"kind create cluster --wait=180s --name=chatfleet-local --kubeconfig={own}"]


def test_kind_keeps_a_cluster_that_is_there(tmp_path: Path, kind: KindCluster) -> None:
    (tmp_path / "clusters").write_text("other\nchatfleet-local\n")

    kind.up(STEPS)

    assert calls(tmp_path)[1].startswith("kind export kubeconfig --name=chatfleet-local ")


def test_kind_removes_only_what_is_there(tmp_path: Path, kind: KindCluster) -> None:
    assert not kind.down(STEPS)
    (tmp_path / "clusters").write_text("chatfleet-local\n")
    assert kind.down(STEPS)

    assert [line.split()[1] for line in calls(tmp_path)] == ["get", "get", "delete"]


def test_kind_is_given_an_image_of_dockers(tmp_path: Path, kind: KindCluster, program: Program) -> None:
    program("docker", "exit 0")

    kind.load(["x.org/a:1"], STEPS)

    assert calls(tmp_path)[-1] == "kind load docker-image x.org/a:1 --name=chatfleet-local"


def test_kind_is_given_an_image_of_buildahs_when_docker_has_none(
    tmp_path: Path, kind: KindCluster, program: Program
) -> None:
    program("docker", "exit 1")
    program("buildah", "exit 0")

    kind.load(["x.org/a:1"], STEPS)

    *_, push, load = calls(tmp_path)
    assert push.startswith("buildah push --quiet x.org/a:1 docker-archive:")
    assert load.startswith("kind load image-archive ")


@pytest.mark.parametrize(("script", "answers"), [("exit 0", True), ("exit 1", False)])
def test_docker_is_at_hand_when_its_engine_answers(program: Program, script: str, *, answers: bool) -> None:
    program("docker", script)

    assert answers is docker_runs()
