"""Kubernetes' own controllers and our operator on an API server of their own; there is no kubelet."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from chatfleet_cluster import controlplane
from chatfleet_cluster.progress import Progress
from harness.kube.kubectl import Kubectl
from harness.kube.operator_process import OperatorProcess, account, cluster_wide, grant, operator

CRDS = Path(__file__).parents[3] / "crds"


@contextmanager
def operated(folder: Path, settings: Mapping[str, str], *flags: str) -> Iterator[Kubectl]:
    """Start them all, with `settings` of the operator and `flags` of the controllers, and wait until it leads."""
    with operated_by(folder, settings, *flags) as (kubectl, _):
        yield kubectl


@contextmanager
def operated_by(folder: Path, settings: Mapping[str, str], *flags: str) -> Iterator[tuple[Kubectl, OperatorProcess]]:
    """Do the same, with the operator's process."""
    progress = Progress(Console(stderr=True))
    with ExitStack() as stack:
        plane = stack.enter_context(controlplane.running(os.environ, progress))
        kubectl = Kubectl(plane.kubectl, plane.kubeconfig)
        kubectl("apply", "--server-side", "-f", str(CRDS))
        stack.enter_context(controlplane.controlled(plane, os.environ, progress, *flags))
        kubeconfig = account(kubectl, folder)
        grant(kubectl, *cluster_wide())
        process = stack.enter_context(operator(kubeconfig, folder / "operator.log", settings))
        process.elected()
        yield kubectl, process
