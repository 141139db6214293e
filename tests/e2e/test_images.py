"""The images as they are built: who runs in them, how big they are, and what they must not hold."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.kube.node import API_IMAGE, OPERATOR_IMAGE, REDIS_IMAGE, ROOT

LIMITS = {API_IMAGE: 170_000_000, OPERATOR_IMAGE: 110_000_000}
"""Bytes on disk, beyond Debian and its Python."""
ENGINE = "docker" if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0 else "buildah"

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Image:
    """What a container made of an image would see."""

    name: str
    root: Path
    config: dict[str, Any]

    def own(self) -> list[Path]:
        """Return the folders of the installed packages, ours last."""
        return sorted(self.root.glob("opt/chatfleet/lib/python*/site-packages")) + sorted(
            self.root.glob("opt/chatfleet-*")
        )


def said(*command: str) -> str:
    """Run a command and return what it printed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def on_disk(folder: Path) -> int:
    """Return the bytes that a folder takes on disk."""
    return int(said("du", "--summarize", "--block-size=1", str(folder)).split()[0])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Image]]:
    """Build the images, unless they are up to date, and open them."""
    subprocess.run([ROOT / "tools/images/build"], check=True)
    found, containers = {}, []
    for name in (API_IMAGE, OPERATOR_IMAGE, REDIS_IMAGE):
        told = json.loads(said(ENGINE, "inspect", "--type", "image", name))
        if ENGINE == "docker":
            containers.append(said("docker", "create", name))
            root = tmp_path_factory.mktemp("image")
            subprocess.run(f"docker export {containers[-1]} | tar -xC {root}", shell=True, check=True)  # noqa: S602
        else:
            containers.append(said("buildah", "from", "--pull=never", name))
            root = Path(said("buildah", "mount", containers[-1]))
        found[name] = Image(name, root, told[0]["Config"] if ENGINE == "docker" else told["Docker"]["config"])
    yield found
    said(ENGINE, "rm", *containers)


@pytest.fixture(params=[API_IMAGE, OPERATOR_IMAGE])
def image(request: pytest.FixtureRequest, images: dict[str, Image]) -> Image:
    return images[str(request.param)]


@pytest.mark.feature(51, 53)
def test_nobody_in_an_image_is_root(images: dict[str, Image]) -> None:
    assert {image.config["User"] for image in images.values()} == {"10001:10001"}


def test_signals_reach_the_process_itself(images: dict[str, Image]) -> None:
    assert images[API_IMAGE].config["Entrypoint"] == ["tini", "--", "python", "-m", "chatfleet_api"]
    assert images[OPERATOR_IMAGE].config["Entrypoint"] == ["tini", "--", "python", "-m", "chatfleet_operator"]
    assert images[API_IMAGE].config["StopSignal"] == images[OPERATOR_IMAGE].config["StopSignal"] == "SIGTERM"


@pytest.mark.feature(53)
def test_plain_docker_asks_the_api_for_its_health(images: dict[str, Image]) -> None:
    assert "http://127.0.0.1:8001/live" in images[API_IMAGE].config["Healthcheck"]["Test"][-1]


def test_an_image_is_small(image: Image) -> None:
    assert sum(on_disk(folder) for folder in image.own()) <= LIMITS[image.name]


def test_every_module_has_its_bytecode_as_nothing_can_be_written_later(image: Image) -> None:
    modules = {path for folder in image.own() for path in folder.rglob("*.py") if path.stem.isidentifier()}
    compiled = {path.parent.parent / f"{path.name.split('.')[0]}.py" for path in image.root.glob("opt/**/*.pyc")}
    assert len(modules) > 100
    assert modules <= compiled
    assert "PYTHONDONTWRITEBYTECODE=1" in image.config["Env"]


def test_nothing_of_the_building_machine_is_left(image: Image) -> None:
    assert not [path for path in ("etc/pip.conf", "run/secrets/ca.crt") if (image.root / path).exists()]
    assert not [path for path in image.root.glob("opt/**/pip") if path.is_dir()]
    assert {entry.partition("=")[0] for entry in image.config["Env"]} == {
        "PATH",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
    }


def test_an_image_is_used_by_one_part_alone(images: dict[str, Image]) -> None:
    packages = {
        name: {path.name for folder in image.own() for path in folder.iterdir()} for name, image in images.items()
    }
    assert {"chatfleet_contract", "chatfleet_api", "fastapi"} <= packages[API_IMAGE]
    assert {"chatfleet_contract", "chatfleet_operator", "kopf"} <= packages[OPERATOR_IMAGE]
    assert not packages[API_IMAGE] & {"chatfleet_operator", "kopf", "kubernetes"}
    assert not packages[OPERATOR_IMAGE] & {"chatfleet_api", "fastapi", "openai"}


def test_an_image_is_readable_by_whoever_runs_in_it(image: Image) -> None:
    closed = [path for folder in image.own() for path in folder.rglob("*") if not path.stat().st_mode & 0o004]
    assert not closed
    assert os.access(image.root / "etc/ssl/certs/ca-certificates.crt", os.R_OK)
