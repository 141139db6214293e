"""An API server and its etcd alone, for tests of what an API server decides: schemas, admission, rights, apply.

Needs no root. Everything lies in a temporary folder and listens on loopback; both processes are killed by the kernel
when the thread that started them ends, however it ends. There are no controllers, unless `controlled` starts them too:
a Deployment gets no pods, and a deleted namespace stays.

    with controlplane.running(os.environ, Progress(Console(stderr=True))) as plane:
        subprocess.run([plane.kubectl, "--kubeconfig", plane.kubeconfig, "apply", "-f", "crds/"])
"""

import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from chatfleet_cluster import binaries, certificates, config_files
from chatfleet_cluster.api import Api
from chatfleet_cluster.certificates import Identity
from chatfleet_cluster.components import MASTERS, api_server_flags, controller_flags, etcd_flags
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.processes import ENVIRONMENT, GARBAGE, log_end
from chatfleet_cluster.progress import Progress
from chatfleet_cluster.waiting import wait_until

LOOPBACK = IPv4Address("127.0.0.1")
CONTROLLERS = "kube-controller-manager"
SERVICES = "198.19.128.0/24"
PATIENCE = 60.0
"""Seconds to become ready; 3 are usual."""


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane."""

    server: str
    kubeconfig: Path
    """The administrator's; use impersonation (`--as`) for other users."""
    kubectl: Path
    folder: Path
    """Holds the logs `etcd.log` and `kube-apiserver.log`, and the keys of all in `pki`."""


@contextmanager
def running(environ: Mapping[str, str], progress: Progress) -> Iterator[ControlPlane]:
    """Start etcd and kube-apiserver, wait until it is ready, and stop both at the end."""
    programs = binaries.ensure(("etcd", "kube-apiserver", "kubectl"), environ, progress)
    with tempfile.TemporaryDirectory(prefix="chatfleet-") as folder:
        plane = _prepared(Path(folder), programs["kubectl"])
        commands = {
            "etcd": (str(programs["etcd"]), *etcd_flags(plane.folder / "etcd", _etcd(plane))),
            "kube-apiserver": (str(programs["kube-apiserver"]), *_flags(plane)),
        }
        with ExitStack() as stack:
            processes = {name: stack.enter_context(_process(plane, name, commands[name])) for name in commands}
            _await_ready(plane, processes)
            yield plane


@contextmanager
def controlled(plane: ControlPlane, environ: Mapping[str, str], progress: Progress, *flags: str) -> Iterator[None]:
    """Run the real controllers beside `plane`: they create pods (which stay Pending) and delete what owners leave.

    `flags` are added to theirs, and win.
    """
    program = binaries.ensure((CONTROLLERS,), environ, progress)[CONTROLLERS]
    all_flags = (
        *controller_flags(plane.folder / "pki"),
        f"--kubeconfig={plane.folder}/{CONTROLLERS}.kubeconfig",
        f"--flex-volume-plugin-dir={plane.folder}/volume-plugins",
        "--secure-port=0",
        *flags,
    )
    with _process(plane, CONTROLLERS, (str(program), *all_flags)):
        yield


def _prepared(folder: Path, kubectl: Path) -> ControlPlane:
    pki = folder / "pki"
    identities = (
        ("admin", Identity("admin", MASTERS)),
        ("kube-apiserver", Identity("server", "", (), (LOOPBACK,))),
        (CONTROLLERS, Identity(f"system:{CONTROLLERS}")),
    )
    certificates.write_pki(pki, identities, datetime.now(UTC))
    plane = ControlPlane(f"https://{LOOPBACK}:{_free_port()}", folder / "kubeconfig", kubectl, folder)
    _write_kubeconfig(plane, "admin", plane.kubeconfig)
    _write_kubeconfig(plane, CONTROLLERS, folder / f"{CONTROLLERS}.kubeconfig")
    return plane


def _write_kubeconfig(plane: ControlPlane, user: str, file: Path) -> None:
    pki = plane.folder / "pki"
    pair = (pki / f"{user}.crt").read_bytes(), (pki / f"{user}.key").read_bytes()
    authority = (pki / "ca.crt").read_bytes()
    file.write_text(config_files.kubeconfig(plane.server, "chatfleet", authority=authority, pair=pair))


def _etcd(plane: ControlPlane) -> str:
    return f"unix://{plane.folder}/etcd.sock"


def _flags(plane: ControlPlane) -> tuple[str, ...]:
    return (
        *api_server_flags(plane.folder / "pki", _etcd(plane), SERVICES),
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",  # loopback cannot be the address of the Service `kubernetes`
        f"--secure-port={plane.server.rpartition(':')[2]}",
    )


@contextmanager
def _process(plane: ControlPlane, name: str, command: tuple[str, ...]) -> Iterator["subprocess.Popen[bytes]"]:
    with (
        (plane.folder / f"{name}.log").open("wb") as log,
        subprocess.Popen(
            ("setpriv", "--pdeathsig=KILL", *command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**ENVIRONMENT, **GARBAGE},
            start_new_session=True,  # the user's Ctrl-C is for the tests, which then stop this in order
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _await_ready(plane: ControlPlane, processes: Mapping[str, "subprocess.Popen[bytes]"]) -> None:
    api = Api(plane.server, plane.folder / "pki")

    def ready() -> bool:
        for name, process in processes.items():
            if process.poll() is not None:
                raise ClusterError(f"{name} stopped. The end of its log:\n{log_end(plane.folder / f'{name}.log')}")
        return api.answers("/readyz")

    wait_until(ready, "the API server to become ready", seconds=PATIENCE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((str(LOOPBACK), 0))
        port: int = probe.getsockname()[1]
        return port
