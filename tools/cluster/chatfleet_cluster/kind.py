"""A cluster in Docker, by kind: what most people have at hand where a Docker engine runs."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path

from chatfleet_cluster import binaries
from chatfleet_cluster.clusters import Status
from chatfleet_cluster.current import answers, api_server
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.images import push_command, qualified
from chatfleet_cluster.layout import id_of
from chatfleet_cluster.steps import Steps


def docker_answers() -> bool:
    """Whether a Docker engine is at hand."""
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

    def up(self, steps: Steps) -> None:
        """Create it unless it is there, and write its kubeconfig."""
        kind = self._kind(steps)
        self.kubeconfig().parent.mkdir(parents=True, exist_ok=True)
        there = self._id in _checked(kind, "get", "clusters").split()
        verb = ("export", "kubeconfig") if there else ("create", "cluster", "--wait=180s")
        with steps.step(f"Starting kind cluster {self._id}"):
            _checked(kind, *verb, f"--name={self._id}", f"--kubeconfig={self.kubeconfig()}")

    def down(self, steps: Steps) -> bool:
        """Delete it."""
        kind = self._kind(steps)
        if self._id not in _checked(kind, "get", "clusters").split():
            return False
        with steps.step(f"Removing kind cluster {self._id}"):
            _checked(kind, "delete", "cluster", f"--name={self._id}", f"--kubeconfig={self.kubeconfig()}")
        self.kubeconfig().unlink(missing_ok=True)
        return True

    def status(self) -> Status:
        """Ask its API server and Docker's network."""
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

    def load(self, images: Sequence[str], steps: Steps) -> None:
        """Copy images of Docker's, or else of buildah's."""
        kind = self._kind(steps)
        for image in images:
            with steps.step(f"Loading {image}"):
                if _run("docker", "image", "inspect", image).returncode == 0:
                    _checked(kind, "load", "docker-image", image, f"--name={self._id}")
                else:
                    self._load_from_buildah(kind, image)

    def kubeconfig(self) -> Path:
        """A file of its own, so that the user's is left alone."""
        return binaries.cache_folder(self._environ) / "kubeconfig" / self._id

    def _load_from_buildah(self, kind: str, image: str) -> None:
        with tempfile.TemporaryDirectory(prefix="chatfleet-") as folder:
            archive = f"{folder}/image.tar"
            _checked(*push_command(image, qualified(image), archive))
            _checked(kind, "load", "image-archive", archive, f"--name={self._id}")

    def _kind(self, steps: Steps) -> str:
        return str(binaries.ensure(("kind",), self._environ, steps)["kind"])


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
