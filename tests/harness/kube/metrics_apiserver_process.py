"""The metrics API server as a process, with exactly the rights that its code needs, behind a Service."""

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml

from chatfleet_contract import names
from chatfleet_metrics.settings import PREFIX
from chatfleet_operator.kube import METRICS_RULES, METRICS_SECRET_RULES, Rule
from chatfleet_operator.model.values import Manifest
from harness.fork_server import forked
from harness.kube.kubectl import Kubectl
from harness.kube.operator_process import NAMESPACE, OperatorProcess, account, binding, grant, quoting, role
from harness.net import free_port
from harness.process import Program, await_ready, started

NAME = names.METRICS_APISERVER
HOST = f"{NAME}.{NAMESPACE}.svc"
SERVICES = [f"{version}.{names.METRICS_GROUP}" for version in names.METRICS_VERSIONS]
METRICS = f"/apis/{names.METRICS_GROUP}/{names.METRICS_VERSIONS[0]}"


def own_address() -> str:
    """Return an address of this machine that is not loopback, which endpoints of a Service must not have."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))  # sends nothing; it only chooses a way
        address: str = probe.getsockname()[0]
        return address


def install(kubectl: Kubectl, folder: Path) -> Path:
    """Create what the chart creates beside the Deployment, and return the kubeconfig of the metrics API server."""
    kubeconfig = account(kubectl, folder, NAME)
    grant(
        kubectl,
        role("ClusterRole", NAME, METRICS_RULES),
        role("Role", NAME, METRICS_SECRET_RULES, NAMESPACE),
        account=NAME,
    )
    kubectl.apply(yaml.safe_dump_all(_objects()))
    return kubeconfig


def _objects() -> Iterator[Manifest]:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    builtin = {"kind": "Role", "metadata": {"name": "extension-apiserver-authentication-reader"}}
    may_read = binding("RoleBinding", builtin, NAME)
    yield {**may_read, "metadata": {"name": NAME, "namespace": "kube-system"}}
    reader = role("ClusterRole", f"{NAME}-reader", (Rule(names.METRICS_GROUP, "*", ("get", "list")),))
    yield reader
    autoscaler = {"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"}
    yield {**binding("ClusterRoleBinding", reader, NAME), "subjects": [autoscaler]}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": [{"name": "https", "port": 443}]},
    }


def lead_to(kubectl: Kubectl, replica: str, port: int) -> None:
    """Add a port of this machine to the Service, as its endpoint `replica`."""
    head = {"name": f"{NAME}-{replica}", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": NAME}}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": head,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [own_address()], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    kubectl.apply(yaml.safe_dump(endpoints))


@dataclass
class MetricsAPIServerProcess(OperatorProcess):
    """A running metrics API server; its health port is `port`."""

    api_port: int = 0


def wrong_clock(off_by: timedelta) -> tuple[str, ...]:
    """Return the command of a server whose time of day is wrong by `off_by`; its timers are right."""
    wrong = f"now = it.utc_now; it.utc_now = lambda: now() + timedelta(seconds={off_by.total_seconds()})"
    modules = "import sys; from datetime import timedelta; from chatfleet_metrics import __main__ as it"
    return (sys.executable, "-c", f"{modules}; {wrong}; sys.exit(it.main())")


@contextmanager
def _process(log: Path, environment: Mapping[str, str], off_by: timedelta) -> Iterator[Program]:
    """Fork a server from a process that has imported it; one with a wrong clock is started anew."""
    if off_by:
        process = started(log.stem, wrong_clock(off_by), folder=log.parent, environment=environment)
    else:
        process = forked(log.stem, "chatfleet_metrics.__main__", folder=log.parent, environment=environment)
    with process as program:
        yield program


@contextmanager
def metrics_apiserver(
    kubectl: Kubectl, kubeconfig: Path, log: Path, settings: Mapping[str, str], off_by: timedelta = timedelta()
) -> Iterator[MetricsAPIServerProcess]:
    """Run the metrics API server as a replica behind the Service; it is ready when the body begins."""
    port, api_port = free_port(), free_port()
    given = {
        "HEALTH_PORT": str(port),
        "PORT": str(api_port),
        "NAMESPACE": NAMESPACE,
        "LOG_FORMAT": "text",
        "PERIOD_SECONDS": "1",
        **settings,
    }
    environment = {"KUBECONFIG": str(kubeconfig), **{PREFIX + name: value for name, value in given.items()}}
    lead_to(kubectl, log.stem, api_port)
    try:
        with _process(log, environment, off_by) as program:
            running = MetricsAPIServerProcess(program, port, api_port)
            await_ready(program, lambda: running.get("/ready")[0] == 200, port=port, seconds=30)
            with quoting(log, "metrics API server"):
                yield running
    finally:
        kubectl("delete", "endpointslice", f"{NAME}-{log.stem}", "-n", NAMESPACE)
