"""A cluster in Docker, by kind."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path

from chatfleet_cluster import binaries
from chatfleet_cluster.clusters import Status
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.images import push_command, qualified
from chatfleet_cluster.kubeconfig_cluster import answers, api_server
from chatfleet_cluster.layout import id_of
from chatfleet_cluster.progress import Progress


def docker_runs() -> bool:
    """Whether a Docker engine is running."""
    if shutil.which("docker") is None:
        return False
    return _run("docker", "version", "--format", "{{.Server.Version}}").returncode == 0


class KindCluster:
    """A cluster whose node is a Docker container."""

    kind = "kind"

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._name = name
        self._id = id_of(name)
        self._environ = environ

    def up(self, progress: Progress) -> None:
        """Create it unless it exists, and write its kubeconfig."""
        kind = self._kind(progress)
        self.kubeconfig().parent.mkdir(parents=True, exist_ok=True)
        exists = self._id in _checked(kind, "get", "clusters").split()
        verb = ("export", "kubeconfig") if exists else ("create", "cluster", "--wait=180s")
        with progress.step(f"Starting kind cluster {self._id}"):
            _checked(kind, *verb, f"--name={self._id}", f"--kubeconfig={self.kubeconfig()}")

    def down(self, progress: Progress) -> bool:
        kind = self._kind(progress)
        if self._id not in _checked(kind, "get", "clusters").split():
            return False
        with progress.step(f"Removing kind cluster {self._id}"):
            _checked(kind, "delete", "cluster", f"--name={self._id}", f"--kubeconfig={self.kubeconfig()}")
        self.kubeconfig().unlink(missing_ok=True)
        return True

    def status(self) -> Status:
        path = self.kubeconfig()
        if not path.exists():
            return Status(self.kind, self._name, ready=False)
        return Status(
            self.kind,
            self._name,
            ready=answers(path, self._environ),
            kubeconfig=str(path),
            api_server=api_server(path),
            host_address=_gateway(),
        )

    def load(self, images: Sequence[str], progress: Progress) -> None:
        """Load images from Docker, else from buildah."""
        kind = self._kind(progress)
        for image in images:
            with progress.step(f"Loading {image}"):
                if _run("docker", "image", "inspect", image).returncode == 0:
                    _checked(kind, "load", "docker-image", image, f"--name={self._id}")
                else:
                    self._load_from_buildah(kind, image)

    def kubeconfig(self) -> Path:
        """Return a file of its own; the user's kubeconfig is not changed."""
        return binaries.cache_folder(self._environ) / "kubeconfig" / self._id

    def _load_from_buildah(self, kind: str, image: str) -> None:
        with tempfile.TemporaryDirectory(prefix="chatfleet-") as folder:
            archive = f"{folder}/image.tar"
            _checked(*push_command(image, qualified(image), archive))
            _checked(kind, "load", "image-archive", archive, f"--name={self._id}")

    def _kind(self, progress: Progress) -> str:
        return str(binaries.ensure(("kind",), self._environ, progress)["kind"])


def _gateway() -> str:
    """This machine's IPv4 address in the network of kind's nodes."""
    listed = _run("docker", "network", "inspect", "kind", "--format", "{{json .IPAM.Config}}")
    configs = json.loads(listed.stdout or "[]") if listed.returncode == 0 else []
    addresses = (config["Gateway"] for config in configs if ip_network(config["Subnet"]).version == 4)  # noqa: PLR2004
    return next(addresses, "")


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _checked(*command: str) -> str:
    done = _run(*command)
    if done.returncode:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
