"""`tools/images/build` on a small tree, with a Docker engine that only remembers what it was asked to build."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INPUTS = (".dockerignore", "requirements", "contract", "operator", "api", "tools/images")
NAMES = ["api", "operator", "redis"]
ENGINE = """#!/bin/bash
# docker, as far as tools/images/build uses it: FAKE is the folder where it remembers.
case $1 in
  info) ;;
  inspect) [[ -e $FAKE/${4/:/@} ]] ;;
  tag) ;;
  build)
    printf '%s\\n' "$*" >>"$FAKE/builds"
    cp "$(sed -E 's/.*id=pip.conf,src=([^ ]+).*/\\1/' <<<"$*")" "$FAKE/pip.conf"
    echo '#5 [build 2/3] RUN --mount=type=secret,id=pip.conf install things'
    [[ ! -e $FAKE/broken ]] || { echo 'no such package: nonsense==1'; exit 1; }
    image=$(sed -E 's/.*--tag ([^ ]+:[0-9a-f]{12}) .*/\\1/' <<<"$*")
    mkdir -p "$FAKE/${image%/*}" && touch "$FAKE/${image/:/@}" ;;
  *) exit 64 ;;
esac
"""

BUILDAH = """#!/bin/bash
# buildah, as far as the tools of the images use it; no base image exists.
echo "buildah $*" >>"$FAKE/calls"
case $1 in
  info | mount) echo "$FAKE" ;;
  inspect) exit 1 ;;
esac
"""
DEBOOTSTRAP = """#!/bin/bash
cat "$FAKE/says"
exit 1
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="buildah is only used by root")


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Images:
    """A copy of what the images are made of, and the engine beside it."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.engine = folder / "engine"
        for name in INPUTS:
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, self.tree / name)
        script(self.engine / "bin/docker", ENGINE)
        script(self.tree / ".venv/bin/python", "#!/bin/sh\n# pip without settings\n")

    def build(self, **environment: str) -> "subprocess.CompletedProcess[str]":
        with self.start(**environment) as running:
            stdout, stderr = running.communicate()
        return subprocess.CompletedProcess(running.args, running.returncode, stdout, stderr)

    def start(self, **environment: str) -> "subprocess.Popen[str]":
        path = f"{self.engine / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            [self.tree / "tools/images/build"],
            env={**os.environ, "PATH": path, "FAKE": str(self.engine), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def built(self) -> list[str]:
        """Name the images that the engine was asked for so far, and forget them."""
        log = self.engine / "builds"
        asked = re.findall(r"--tag chatfleet\.local/(\w+):dev", log.read_text() if log.exists() else "")
        log.unlink(missing_ok=True)
        return asked


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Images, list[str]]:
    """Images that are up to date, and their names."""
    images = Images(tmp_path_factory.mktemp("images"))
    return images, images.build().stdout.split()


def test_every_image_is_built_once_and_named_by_what_is_in_it(images: Images) -> None:
    first, again = images.build(), images.build()

    assert images.built() == NAMES
    assert re.fullmatch("".join(rf"chatfleet\.local/{name}:[0-9a-f]{{12}}\n" for name in NAMES), first.stdout)
    assert again.stdout == first.stdout
    assert "3 of 3: chatfleet.local/redis is up to date" in again.stderr


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        ("api/Dockerfile", ["api"]),
        ("api/chatfleet_api/__init__.py", ["api"]),
        ("operator/pyproject.toml", ["operator"]),
        ("contract/chatfleet_contract/names.py", ["api", "operator"]),
        ("requirements/operator.txt", ["operator"]),
        ("requirements/build.txt", ["api", "operator"]),
        (".dockerignore", ["api", "operator"]),
        ("tools/images/redis.Dockerfile", ["redis"]),
        ("requirements/dev.txt", []),
        ("api/chatfleet_api/__pycache__/app.pyc", []),
        ("README.md", []),
    ],
)
def test_a_change_rebuilds_the_images_that_it_goes_into_and_no_other(
    built: tuple[Images, list[str]], changed: str, rebuilt: list[str]
) -> None:
    images, before = built
    images.built()
    file = images.tree / changed
    text = file.read_bytes() if file.exists() else b""
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text + b"\n# changed\n")

    after = images.build().stdout.split()
    file.write_bytes(text)

    assert images.built() == rebuilt
    assert [name for name, old, new in zip(NAMES, before, after, strict=True) if old != new] == rebuilt


def test_the_package_index_of_this_machine_is_known_to_the_build_and_not_to_the_image(images: Images) -> None:
    index = "https://user:secret@packages.example.com/simple"
    script(images.tree / ".venv/bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')

    images.build(PIP_INDEX_URL=index)

    assert f"index-url = {index}\n" in (images.engine / "pip.conf").read_text()
    assert "example.com" not in (images.engine / "builds").read_text()


def test_a_build_that_fails_says_which_and_shows_why(images: Images) -> None:
    (images.engine / "broken").touch()

    failed = images.build()

    assert failed.returncode == 1
    assert "no such package: nonsense==1" in failed.stderr
    assert failed.stderr.splitlines()[-1] == "[images] error: chatfleet.local/api cannot be built, for the reason above"
    assert failed.stdout == ""


def test_progress_tells_the_step_without_its_mounts(images: Images) -> None:
    assert "s: #5 [build 2/3] RUN install things\n" in images.build().stderr


def test_a_machine_that_can_build_nothing_is_told_what_it_needs(images: Images, tmp_path: Path) -> None:
    tools = tmp_path / "few"
    tools.mkdir()
    for name in ("bash", "dirname", "mktemp", "rm"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)

    refused = images.build(PATH=str(tools))

    assert refused.returncode == 1
    assert "needs a Docker engine that answers, or root with the packages buildah and debootstrap" in refused.stderr


@pytest.mark.parametrize("name", ["api", "operator"])
def test_what_a_dockerfile_copies_is_let_into_the_context(name: str) -> None:
    dockerfile = (ROOT / name / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    let_in = re.findall(r"^!(.+)/$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)

    assert copied
    assert {source.split("/")[0] for sources in copied for source in sources.split()} <= set(let_in)


@pytest.fixture
def buildah(images: Images) -> Images:
    """Images on a machine without a Docker engine, where no base image can be made."""
    script(images.engine / "bin/docker", "#!/bin/sh\nexit 1\n")
    script(images.engine / "bin/buildah", BUILDAH)
    script(images.engine / "bin/debootstrap", DEBOOTSTRAP)
    (images.engine / "says").write_text("E: nothing\n")
    return images


@needs_root
@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (
            "E: Failed getting release file http://debian/dists/trixie/Release",
            "no Debian mirror is in reach",
        ),
        ("mount: permission denied", "the reason is above"),
    ],
)
def test_a_base_image_that_cannot_be_made_has_its_true_reason(buildah: Images, says: str, reason: str) -> None:
    (buildah.engine / "says").write_text(f"{says}\n")

    failed = buildah.build()

    assert failed.returncode == 1
    assert says in failed.stderr
    assert f"error: the base image cannot be made: {reason}\n" in failed.stderr


@needs_root
def test_two_checkouts_never_build_at_once(buildah: Images) -> None:
    with (buildah.engine / "chatfleet-images.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with buildah.start() as second:
            assert second.stderr is not None
            assert "waiting for another build of images on this machine" in second.stderr.readline()
            assert "buildah from" not in (buildah.engine / "calls").read_text()
            fcntl.flock(lock, fcntl.LOCK_UN)
            rest = second.stderr.read()
    assert "error: the base image cannot be made" in rest
    assert "buildah from --quiet --name chatfleet-base scratch" in (buildah.engine / "calls").read_text()
