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

from chatfleet_cluster import binaries, cidrs, node
from chatfleet_cluster.clusters import Cluster, Status
from chatfleet_cluster.components import NAMES
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.kind import KindCluster, docker_runs
from chatfleet_cluster.kubeconfig_cluster import KubeconfigCluster
from chatfleet_cluster.layout import DEFAULT_NAME, CIDRs, check_name, folder_of
from chatfleet_cluster.local import LocalCluster
from chatfleet_cluster.progress import Progress
from chatfleet_cluster.which import Choice, which

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A Kubernetes cluster for development.\n\n"
    "With a Docker engine, the cluster is in Docker, by kind. Without one, it is a node on this machine, which needs "
    "Linux and root. Set the variable CLUSTER to choose: kind, node, or current for the cluster of your kubeconfig.",
)


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


Name = Annotated[str, typer.Option(help="Name of the cluster. Several can be up at a time.", callback=check_name)]


@app.command()
def up(
    name: Name = DEFAULT_NAME,
    link: Annotated[
        str | None, typer.Option(help="Address range between this machine and the node, such as 198.51.100.0/30.")
    ] = None,
    pods: Annotated[str | None, typer.Option(help="Address range of the pods, such as 198.18.0.0/20.")] = None,
    services: Annotated[str | None, typer.Option(help="Address range of the Services, such as 198.19.0.0/21.")] = None,
) -> None:
    """Start a cluster, or resume an interrupted start. Does nothing when the cluster is up.

    The first start on a machine builds the programs from source, which takes 10 to 15 minutes; later starts take about
    10 seconds. Without --link, --pods and --services, free address ranges are used.
    """
    progress = _steps()
    cluster = _cluster(name, progress, cidrs.parse(link, pods, services))
    try:
        cluster.up(progress)
    except KeyboardInterrupt:
        progress.info(f"Interrupted. `chatfleet-cluster up --name {name}` resumes; `down` removes the cluster.")
        raise
    progress.info(f'Ready. Use it:  eval "$(chatfleet-cluster env --name {name})" && kubectl get nodes')


@app.command()
def down(name: Name = DEFAULT_NAME) -> None:
    """Remove a cluster with everything in it. Does nothing when it does not exist."""
    progress = _steps()
    if not _cluster(name, progress).down(progress):
        progress.info(f"Cluster {name} does not exist.")


@app.command()
def status(name: Name = DEFAULT_NAME, output: Annotated[Output, typer.Option("--output", "-o")] = Output.TABLE) -> None:
    """Show whether a cluster is ready, its addresses and its processes. Exits with 0 when ready, else with 1."""
    seen = _cluster(name, None).status()
    if output is Output.JSON:
        sys.stdout.write(json.dumps(asdict(seen), indent=2) + "\n")
    else:
        _print_status(seen)
    raise typer.Exit(0 if seen.ready else 1)


@app.command()
def load(images: list[str], name: Name = DEFAULT_NAME) -> None:
    """Load images from this machine into a cluster, without a registry. Skips images that the cluster has.

    Pods use them with `imagePullPolicy: IfNotPresent`.
    """
    progress = _steps()
    _cluster(name, progress).load(images, progress)


@app.command()
def logs(
    component: Annotated[
        str | None,
        typer.Argument(
            help="Name of a component, such as kubelet. Without it, lists all.",
            autocompletion=lambda: list(NAMES),
        ),
    ] = None,
    *,
    name: Name = DEFAULT_NAME,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines as they are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Number of last lines.")] = 100,
) -> None:
    """Show the log of a component of a node on this machine."""
    found = {path.stem: path for path in sorted((folder_of(name) / "logs").glob("*.log"))}
    if component is None:
        sys.stdout.write("".join(f"{each}\n" for each in found))
        return
    if component not in found:
        raise ClusterError(f"No log of {component!r}. Available: {', '.join(found) or 'none'}.")
    _exec(["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), str(found[component])], dict(os.environ))


@app.command()
def kubeconfig(
    *,
    name: Name = DEFAULT_NAME,
    raw: Annotated[bool, typer.Option("--raw", help="Print the content instead of the path.")] = False,
) -> None:
    """Print the path of the administrator's kubeconfig."""
    path = _cluster(name, None).kubeconfig()
    sys.stdout.write(path.read_text() if raw else f"{path}\n")


@app.command()
def env(name: Name = DEFAULT_NAME) -> None:
    """Print shell commands that configure kubectl and helm for a cluster: eval "$(chatfleet-cluster env)"."""
    for key, value in _environment(_cluster(name, None)).items():
        sys.stdout.write(f"export {key}={shlex.quote(value)}\n")


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def exec_(command: list[str], name: Name = DEFAULT_NAME) -> None:
    """Run a command as root inside a node on this machine, such as `-- iptables -S` or `-- ss -tn`.

    The command has the node's network and mounts, and ends with the cluster.
    """
    cluster = LocalCluster(name, None, os.environ)
    _exec(node.inside(cluster.layout(), command), {**os.environ, **_environment(cluster)})


@app.command("which")
def which_(name: Name = DEFAULT_NAME) -> None:
    """Print the kind of cluster that the other commands use; the reason goes to standard error."""
    choice = _choice(name)
    _steps().info(choice.sentence())
    sys.stdout.write(f"{choice.kind}\n")


def main() -> None:
    """Run the command. An error becomes one message and exit status 1."""
    try:
        app()
    except ClusterError as error:
        _fail(str(error))
    except PermissionError as error:
        _fail(f"{error.filename} belongs to root, as does a node on this machine. Use sudo.")


def _fail(message: str) -> NoReturn:
    _steps().info(f"Error: {message}")
    sys.exit(1)


def _steps() -> Progress:
    return Progress(Console(stderr=True))


def _choice(name: str) -> Choice:
    exists = folder_of(name).exists()
    return which(os.environ.get("CLUSTER", ""), node_exists=exists, docker_runs=docker_runs)


def _cluster(name: str, progress: Progress | None, wanted: CIDRs | None = None) -> Cluster:
    choice = _choice(name)
    if progress:
        progress.info(choice.sentence())
    if wanted and choice.kind != "node":
        raise ClusterError("--link, --pods and --services apply to a node on this machine only. Set CLUSTER=node.")
    if choice.kind == "current":
        return KubeconfigCluster(os.environ)
    return KindCluster(name, os.environ) if choice.kind == "kind" else LocalCluster(name, wanted, os.environ)


def _environment(cluster: Cluster) -> dict[str, str]:
    programs = binaries.ensure(("kubectl", "helm"), os.environ, _steps())
    folders = [str(path.parent) for path in programs.values()]
    return {"KUBECONFIG": str(cluster.kubeconfig()), "PATH": ":".join([*folders, os.environ.get("PATH", "")])}


def _exec(command: list[str], environment: dict[str, str]) -> NoReturn:
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
