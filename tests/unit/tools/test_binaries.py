"""Where programs come from, and what is stamped into them."""

from pathlib import Path

import pytest
from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.binaries import MODULES, ensure, link_flags, module_of, version
from chatfleet_cluster.progress import Progress


def test_etcd_and_api_server_are_taken_from_where_other_tools_keep_them(tmp_path: Path) -> None:
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (tmp_path / name).touch()
    environ = {"KUBEBUILDER_ASSETS": str(tmp_path), "HOME": "/users/me"}

    found = ensure(["etcd", "kube-apiserver"], environ, Progress(Console()))

    assert found == {"etcd": tmp_path / "etcd", "kube-apiserver": tmp_path / "kube-apiserver"}


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_CACHE_HOME": "/var/cache/me", "HOME": "/users/me"}, "/var/cache/me/chatfleet/cluster"),
        ({"XDG_CACHE_HOME": "", "HOME": "/users/me"}, "/users/me/.cache/chatfleet/cluster"),
    ],
)
def test_the_cache_lies_where_the_user_keeps_caches(environ: dict[str, str], folder: str) -> None:
    assert Path(folder) == binaries.cache_folder(environ)


def test_every_program_is_stamped_with_the_version_that_its_module_pins() -> None:
    assert version(module_of("kubelet")).startswith("v1.36.")
    assert f"gitVersion={version(module_of('kubelet'))}" in link_flags(module_of("kubelet"))
    assert "gitMinor=36" in link_flags(module_of("kubelet"))


def test_every_module_but_our_own_has_a_version() -> None:
    assert [module.folder for module in MODULES if not version(module)] == ["pause"]
