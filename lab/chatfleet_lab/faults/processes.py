"""The operators and metrics API servers beside an API server, to be started and killed."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final

from harness.kube.kubectl import Kubectl
from harness.kube.metrics_apiserver_process import install, metrics_apiserver
from harness.kube.operator_process import ACCOUNT, OperatorProcess, operator

POD: Final = {"POD_NAME": "operator-0"}
"""Each process of this operator is one of the same pod, as a container that restarts is."""
OTHERS: Final = {"NAMESPACE": "team-a", "LEADER_ELECTION": "false", "API_IMAGE": "example.com/api:theirs"}


@dataclass
class Processes:
    """What runs, until `close`."""

    kubectl: Kubectl
    folder: Path
    leader: OperatorProcess
    _started: ExitStack = field(default_factory=ExitStack)
    _servers: ExitStack = field(default_factory=ExitStack)
    _kubeconfig: Path | None = None
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def kill_operator(self) -> None:
        """End the operator as `kill -9` does."""
        self.leader.kill()

    def start_operator(self) -> None:
        """Start the operator again."""
        self.leader = self._started.enter_context(operator(self._account, self._log("operator"), POD))

    def start_other_operator(self, namespace: str) -> OperatorProcess:
        """Start an operator of another release that serves a namespace too."""
        settings = {**OTHERS, "NAMESPACES": namespace}
        return self._started.enter_context(operator(self._account, self._log("other"), settings))

    def start_metrics_apiserver(self, off_by: timedelta = timedelta()) -> None:
        """Start a metrics API server, whose clock is wrong by `off_by`, in the place of those that run."""
        self.stop_metrics_apiserver()
        self._kubeconfig = self._kubeconfig or install(self.kubectl, self.folder)
        server = metrics_apiserver(self.kubectl, self._kubeconfig, self._log("metrics"), {}, off_by)
        self._servers.enter_context(server)

    def stop_metrics_apiserver(self) -> None:
        """End the metrics API servers."""
        self._servers.close()

    def close(self) -> None:
        """End what was started here."""
        self._servers.close()
        self._started.close()

    @property
    def _account(self) -> Path:
        return self.folder / f"{ACCOUNT}.kubeconfig"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}-{next(self._numbers)}.log"
