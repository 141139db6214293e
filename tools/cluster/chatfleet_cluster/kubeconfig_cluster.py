"""The cluster of the user's kubeconfig: used as it is, never started, stopped or given images."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from chatfleet_cluster.clusters import Status
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.progress import Progress

TIMEOUT = "10s"


class KubeconfigCluster:
    kind = "current"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def up(self, progress: Progress) -> None:
        """Check that its API server is ready."""
        path = self.kubeconfig()
        if not answers(path, self._environ):
            raise ClusterError(
                f"The cluster of your kubeconfig, {api_server(path)}, is not ready within {TIMEOUT}. "
                f"Check: kubectl --kubeconfig {path} get --raw /readyz"
            )
        progress.info(f"✓ {api_server(path)} is ready")

    def down(self, progress: Progress) -> bool:
        progress.info("The cluster of your kubeconfig was not created by this tool and is not removed.")
        return False

    def status(self) -> Status:
        path = self.kubeconfig()
        ready = answers(path, self._environ)
        return Status(self.kind, "", ready=ready, kubeconfig=str(path), api_server=api_server(path))

    def load(self, images: Sequence[str], progress: Progress) -> None:  # noqa: ARG002 - it refuses whatever it is given
        raise ClusterError(
            f"Cannot load images into the cluster of your kubeconfig. Push {' '.join(images)} to a registry that its "
            "nodes reach, and set these images in the chart's values."
        )

    def kubeconfig(self) -> Path:
        """`$KUBECONFIG`, its first file if there are several, or ~/.kube/config."""
        first = self._environ.get("KUBECONFIG", "").split(":")[0]
        path = Path(first) if first else Path(self._environ.get("HOME", "~")).expanduser() / ".kube" / "config"
        if not path.is_file():
            raise ClusterError(f"CLUSTER=current needs a kubeconfig; {path} is not a file. Set KUBECONFIG.")
        return path


def answers(kubeconfig: Path, environ: Mapping[str, str]) -> bool:
    """Whether the API server is ready."""
    kubectl = shutil.which("kubectl", path=environ.get("PATH"))
    if kubectl is None:
        raise ClusterError("`kubectl` is not on the PATH. Install it to use a cluster that is not on this machine.")
    command = (kubectl, f"--kubeconfig={kubeconfig}", "get", "--raw=/readyz", f"--request-timeout={TIMEOUT}")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def api_server(kubeconfig: Path) -> str:
    """The API server of the kubeconfig's current context; raise ClusterError when there is none."""
    try:
        config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        return str(_named(config["clusters"], context["cluster"])["cluster"]["server"])
    except (yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise ClusterError(f"{kubeconfig} has no current context. Set one: kubectl config use-context NAME") from error


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)
