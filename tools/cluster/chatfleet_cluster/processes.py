"""Starts the components of a cluster, and reports whether they run."""

import subprocess
from pathlib import Path

from chatfleet_cluster.cgroups import Group
from chatfleet_cluster.components import NAMESPACES, Component
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.layout import Layout
from chatfleet_cluster.waiting import wait_until

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
"""Without the user's variables: a proxy setting would direct a component outside the machine."""
GARBAGE = {"GOGC": "400"}
"""Go collects garbage when the heap has grown by so many percent. By its default of 100 that is a third of the CPU time
of an API server: 3.5 s to start it and to establish a definition, 2.4 s this way. It takes 170 MB more memory."""

_LAUNCH = 'echo 0 > "$0" && exec setsid --fork sh -c \'echo $$ > "$0.new"; mv "$0.new" "$0"; exec "$@"\' "$@"'
"""Enters the control group first, so that there is no moment in which a process of the cluster is outside of it; then
leaves the terminal, writes its process id and becomes the component. Arguments: the group, the file, the command."""


class Processes:
    """The running components of one cluster."""

    def __init__(self, layout: Layout, group: Group) -> None:
        self._layout = layout
        self._group = group

    def pid(self, component: str) -> int | None:
        """The component's process; None when it does not run."""
        try:
            pid = int(self._layout.pid_file(component).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if pid in self._group.processes(component) else None

    def start(self, component: Component) -> None:
        """Start the component inside the cluster's namespaces, unless it runs."""
        self._launch(component.name, (*self.enter(), *component.command))

    def start_namespaces(self, script: Path) -> None:
        """Start the process that makes the cluster's namespaces and keeps them."""
        self._launch(NAMESPACES, ("unshare", "--mount", "--net", "--propagation=slave", "sh", str(script)))
        wait_until(lambda: self._layout.ready.exists() or not self.pid(NAMESPACES), "the network of the cluster")
        self.check(NAMESPACES)

    def enter(self) -> tuple[str, ...]:
        """The words before a command that make it run inside the cluster's namespaces; ClusterError if these ended."""
        self.check(NAMESPACES)
        return ("nsenter", f"--target={self.pid(NAMESPACES)}", "--mount", "--net", "--")

    def check(self, component: str) -> None:
        """Raise ClusterError with the end of its log if the component does not run."""
        if self.pid(component) is None:
            path = self._layout.log(component)
            raise ClusterError(f"{component} stopped. The last lines of its log, {path}:\n{log_end(path)}")

    def _launch(self, name: str, command: tuple[str, ...]) -> None:
        if self.pid(name) is not None:
            return
        pid_file = self._layout.pid_file(name)
        pid_file.unlink(missing_ok=True)
        with self._layout.log(name).open("ab") as log:
            subprocess.run(
                ["sh", "-c", _LAUNCH, str(self._group.entry(name)), str(pid_file), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**ENVIRONMENT, **GARBAGE},
                cwd="/",
                check=True,
            )
        wait_until(pid_file.exists, f"{name} to start")


def log_end(path: Path, lines: int = 10) -> str:
    """The last lines of a log."""
    if not path.exists():
        return "(empty)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
