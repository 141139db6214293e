"""Copies images from buildah into containerd, without a registry and without an archive on disk."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import PIPE
from typing import IO, cast

from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.layout import PAUSE_IMAGE, Layout
from chatfleet_cluster.progress import Progress

ID_LABEL = "chatfleet.io/image-id"
"""Label of an image in containerd: its id in buildah, so that an image is copied only when it has changed."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's name for a machine -> that of container images."""


class Store:
    """containerd's images, as its kubelet sees them."""

    def __init__(self, layout: Layout, ctr: Path) -> None:
        self._ctr = (str(ctr), "--address", str(layout.containerd_socket), "--namespace", "k8s.io", "images")

    def names(self, image_id: str) -> list[str]:
        """The names under which containerd has the image of this id; ClusterError when containerd does not respond."""
        done = self._run("ls", "--quiet", f'labels."{ID_LABEL}"=={image_id}')
        if done.returncode:
            raise ClusterError(f"containerd does not respond; is the cluster up? {_text(done.stderr)}")
        return done.stdout.decode().split()

    def tag(self, present: str, name: str) -> None:
        """Give an image, with its label, a further name, which another image loses."""
        done = self._run("tag", "--local", "--force", present, name)
        if done.returncode:
            raise ClusterError(f"Failed to tag image {present} as {name}: {_text(done.stderr)}")

    def load(self, archive: IO[bytes], image_id: str) -> str:
        """Import a docker archive and label its image; return containerd's error, empty on success."""
        # "local" lets ctr see which layers are unpacked already.
        done = self._run("import", "--local", "--label", f"{ID_LABEL}={image_id}", "-", stdin=archive)
        return _text(done.stderr) if done.returncode else ""

    def _run(self, *arguments: str, stdin: IO[bytes] | None = None) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run((*self._ctr, *arguments), stdin=stdin, capture_output=True, check=False)


def load(store: Store, images: Sequence[str], progress: Progress) -> None:
    """Copy each image from buildah into the cluster, unless it has it; raise ClusterError for an unknown image."""
    known = [(image, qualified(image), buildah_id(image)) for image in images]
    for image, name, image_id in known:
        names = store.names(image_id)
        if name in names:
            progress.info(f"✓ {name} is already loaded")
            continue
        if names:
            store.tag(names[0], name)
            progress.info(f"✓ {name} is already loaded as {names[0]}")
            continue
        with progress.step(f"Loading {name}"):
            _pipe(store, push_command(image, name, "/dev/stdout"), image_id)


def load_pause(store: Store, program: Path) -> None:
    """Import the pause image, unless it is there; it contains only `program`."""
    edition = program.parent.name
    if PAUSE_IMAGE in store.names(edition):
        return
    with tempfile.TemporaryFile() as archive:
        archive.write(pause_archive(program.read_bytes(), platform.machine()))
        archive.seek(0)
        error = store.load(archive, edition)
    if error:
        raise ClusterError(f"Failed to import image {PAUSE_IMAGE}: {error}")


def pause_archive(program: bytes, machine: str) -> bytes:
    """Return a docker archive with one image of one file; deterministic."""
    layer = _tar({"pause": program})
    config = {
        "architecture": ARCHITECTURES[machine],
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    return _tar({"layer.tar": layer, **files})


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def qualified(image: str) -> str:
    """The full name by which the kubelet looks an image up: with host and tag."""
    host, _, rest = image.partition("/")
    if not rest:
        image = f"docker.io/library/{image}"
    elif not ({".", ":"} & set(host)) and host != "localhost":
        image = f"docker.io/{image}"
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


def buildah_id(image: str) -> str:
    """The id of an image in buildah's store."""
    command = ["buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", image]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(
            f"buildah has no image {image!r}. Build it first; see `buildah images`: {done.stderr.strip()}"
        )
    return done.stdout.strip()


def push_command(image: str, name: str, file: str) -> tuple[str, ...]:
    """The command that writes an image from buildah into a docker archive, under `name`."""
    return ("buildah", "push", "--quiet", image, f"docker-archive:{file}:{name}")


def _pipe(store: Store, push_command: Sequence[str], image_id: str) -> None:
    with tempfile.TemporaryFile() as errors, subprocess.Popen(push_command, stdout=PIPE, stderr=errors) as push:
        archive = cast("IO[bytes]", push.stdout)
        complaint = store.load(archive, image_id)
        archive.close()
        if push.wait() or complaint:
            errors.seek(0)
            raise ClusterError(f"Failed to load the image. buildah: {_text(errors.read())} containerd: {complaint}")


def _text(output: bytes) -> str:
    """The errors that a program printed, without its warnings."""
    lines = output.decode(errors="replace").splitlines()
    return " ".join(line for line in lines if "level=warning" not in line) or "nothing."
