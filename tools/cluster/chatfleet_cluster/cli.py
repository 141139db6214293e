"""The command `chatfleet-cluster`."""

import json
import os
import shlex
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from chatfleet_cluster import binaries, node, ranges
from chatfleet_cluster.choose import Choice, choose
from chatfleet_cluster.clusters import Cluster, Status
from chatfleet_cluster.components import NAMES
from chatfleet_cluster.current import CurrentCluster
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.kind import KindCluster, docker_answers
from chatfleet_cluster.layout import DEFAULT_NAME, Ranges, check_name, folder_of
from chatfleet_cluster.local import LocalCluster
from chatfleet_cluster.steps import Steps

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A Kubernetes cluster to develop on.\n\n"
    "By default the cluster is made of this machine, which takes Linux and root; or it is in Docker, by kind, when a "
    "Docker engine answers. The variable CLUSTER chooses: node, kind, or current for the one of your kubeconfig.",
)


class Output(StrEnum):
    """How `status` prints."""

    TABLE = "table"
    JSON = "json"


Name = Annotated[str, typer.Option(help="Which cluster; several can be up side by side.", callback=check_name)]


@app.command()
def up(
    name: Name = DEFAULT_NAME,
    link: Annotated[
        str | None, typer.Option(help="Range between this machine and the node, like 198.51.100.0/30.")
    ] = None,
    pods: Annotated[str | None, typer.Option(help="Range of the pods, like 198.18.0.0/20.")] = None,
    services: Annotated[str | None, typer.Option(help="Range of the Services, like 198.19.0.0/21.")] = None,
) -> None:
    """Bring a cluster up, or go on with one that was interrupted; does nothing when it is up.

    The first time on a machine, the programs are built from source: about 10 minutes. Then it takes about 10 seconds.
    Free address ranges are chosen by itself unless given.
    """
    steps = _steps()
    cluster = _chosen(name, steps, ranges.parse(link, pods, services))
    try:
        cluster.up(steps)
    except KeyboardInterrupt:
        steps.say(f"Interrupted. `chatfleet-cluster up --name {name}` goes on from here; `down` removes what there is.")
        raise
    steps.say(f'Ready. Use it:  eval "$(chatfleet-cluster env --name {name})" && kubectl get nodes')


@app.command()
def down(name: Name = DEFAULT_NAME) -> None:
    """Remove a cluster with everything in it; does nothing when there is none."""
    steps = _steps()
    if not _chosen(name, steps).down(steps):
        steps.say(f"There is no cluster {name} to remove.")


@app.command()
def status(name: Name = DEFAULT_NAME, output: Annotated[Output, typer.Option("--output", "-o")] = Output.TABLE) -> None:
    """Show whether a cluster is ready, its addresses and its processes. Exit status 0 when ready, 1 when not."""
    seen = _chosen(name, None).status()
    if output is Output.JSON:
        sys.stdout.write(json.dumps(asdict(seen), indent=2) + "\n")
    else:
        _print_status(seen)
    raise typer.Exit(0 if seen.ready else 1)


@app.command()
def load(images: list[str], name: Name = DEFAULT_NAME) -> None:
    """Give a cluster images that were built here; skips those it has. No registry is involved.

    Pods use them with `imagePullPolicy: IfNotPresent`.
    """
    steps = _steps()
    _chosen(name, steps).load(images, steps)


@app.command()
def logs(
    component: Annotated[
        str | None,
        typer.Argument(help="Like kubelet; without it, lists what there is.", autocompletion=lambda: list(NAMES)),
    ] = None,
    *,
    name: Name = DEFAULT_NAME,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last ones.")] = 100,
) -> None:
    """Show what a component of a node on this machine printed."""
    found = {path.stem: path for path in sorted((folder_of(name) / "logs").glob("*.log"))}
    if component is None:
        sys.stdout.write("".join(f"{each}\n" for each in found))
        return
    if component not in found:
        raise ClusterError(f"There is no log of {component!r}. There are: {', '.join(found) or 'none'}.")
    _become(
        ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), str(found[component])], dict(os.environ)
    )


@app.command()
def kubeconfig(
    *,
    name: Name = DEFAULT_NAME,
    raw: Annotated[bool, typer.Option("--raw", help="Print its content instead.")] = False,
) -> None:
    """Print the path of the administrator's kubeconfig."""
    path = _chosen(name, None).kubeconfig()
    sys.stdout.write(path.read_text() if raw else f"{path}\n")


@app.command()
def env(name: Name = DEFAULT_NAME) -> None:
    """Print shell commands that point kubectl and helm at a cluster: eval "$(chatfleet-cluster env)"."""
    for key, value in _environment(_chosen(name, None)).items():
        sys.stdout.write(f"export {key}={shlex.quote(value)}\n")


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def exec_(command: list[str], name: Name = DEFAULT_NAME) -> None:
    """Run a command as root inside a node on this machine, such as `-- iptables -S` or `-- ss -tn`.

    It sees the node's network and mounts, and it ends with the cluster.
    """
    cluster = LocalCluster(name, None, os.environ)
    _become(node.inside(cluster.layout(), command), {**os.environ, **_environment(cluster)})


@app.command("choose")
def choose_(name: Name = DEFAULT_NAME) -> None:
    """Say which kind of cluster the other commands use, and why; the kind alone goes to standard output."""
    choice = _choice(name)
    _steps().say(choice.sentence())
    sys.stdout.write(f"{choice.kind}\n")


def main() -> None:
    """Run the command; what stands in the way becomes one clear message and exit status 1."""
    try:
        app()
    except ClusterError as error:
        _refuse(str(error))
    except PermissionError as error:
        _refuse(f"{error.filename} is root's, as is a cluster on this machine. Use sudo.")


def _refuse(message: str) -> NoReturn:
    _steps().say(f"Error: {message}")
    sys.exit(1)


def _steps() -> Steps:
    return Steps(Console(stderr=True))


def _choice(name: str) -> Choice:
    exists = folder_of(name).exists()
    return choose(os.environ.get("CLUSTER", ""), node_exists=exists, docker_answers=docker_answers)


def _chosen(name: str, steps: Steps | None, wanted: Ranges | None = None) -> Cluster:
    choice = _choice(name)
    if steps:
        steps.say(choice.sentence())
    if wanted and choice.kind != "node":
        raise ClusterError("--link, --pods and --services are for a cluster on this machine: CLUSTER=node.")
    if choice.kind == "current":
        return CurrentCluster(os.environ)
    return KindCluster(name, os.environ) if choice.kind == "kind" else LocalCluster(name, wanted, os.environ)


def _environment(cluster: Cluster) -> dict[str, str]:
    programs = binaries.ensure(("kubectl", "helm"), os.environ, _steps())
    folders = [str(path.parent) for path in programs.values()]
    return {"KUBECONFIG": str(cluster.kubeconfig()), "PATH": ":".join([*folders, os.environ.get("PATH", "")])}


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    os.execvpe(command[0], command, environment)  # noqa: S606 - the user's own command


def _print_status(seen: Status) -> None:
    table = Table(show_header=False, box=None)
    for key, value in asdict(seen).items():
        if key == "components":
            for component, part in value.items():
                table.add_row(component, f"running, process {part['pid']}" if part["running"] else "not running")
        elif value != "":
            table.add_row(key.replace("_", " "), {True: "yes", False: "no"}.get(value, str(value)))
    Console().print(table)
