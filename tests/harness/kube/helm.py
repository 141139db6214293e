"""Helm as the tests use it: the binary that the local cluster's own tool builds, and our chart."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.progress import Progress

CHART = Path(__file__).parents[3] / "charts/chatfleet"
NAMESPACE = "chatfleet-system"

Manifest = dict[str, Any]


class HelmError(Exception):
    """Helm refused; the text is its own."""


@dataclass(frozen=True)
class Helm:
    """One helm binary, with the options that every command of it gets."""

    binary: Path
    options: tuple[str, ...] = ()

    def __call__(self, *args: str) -> str:
        """Run helm and return what it printed."""
        command = [str(self.binary), *args, "--namespace", NAMESPACE, *self.options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise HelmError(done.stderr or done.stdout)
        return done.stdout

    def render(self, *values: str, release: str = "chatfleet") -> list[Manifest]:
        """Return what the chart makes of `values`, each as `--set-json` takes it."""
        sets = [part for value in values for part in ("--set-json", value)]
        made = self("template", release, str(CHART), *sets)
        return [each for each in yaml.load_all(made, Loader=yaml.CSafeLoader) if each]  # ten times as fast


def ensure_helm() -> Helm:
    """Return helm, after building it where it was never needed before: two minutes."""
    return Helm(binaries.ensure(("helm",), os.environ, Progress(Console(stderr=True)))["helm"])
