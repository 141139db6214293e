"""What the tests of the cluster tool stand on: its programs, and an image to run."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from chatfleet_cluster import binaries, requirements
from chatfleet_cluster.progress import Progress

PROBE = Path(__file__).parent / "probe"


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """Everything is built, and this machine can carry a cluster; says what is missing otherwise."""
    requirements.check()
    binaries.ensure(binaries.NODE, os.environ, Progress(Console(stderr=True)))


@pytest.fixture(scope="session", name="image")
def _image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The probe's image in buildah's store."""
    folder = tmp_path_factory.mktemp("probe")
    build = ["go", "build", "-trimpath", "-buildvcs=false", "-o", str(folder / "probe"), "."]
    subprocess.run(build, cwd=PROBE, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    name = f"chatfleet.local/probe:{os.getpid()}"
    command = ["buildah", "build", "--quiet", "--tag", name, "--file", str(PROBE / "Dockerfile"), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield name
    subprocess.run(["buildah", "rmi", name], check=True, stdout=subprocess.DEVNULL)
