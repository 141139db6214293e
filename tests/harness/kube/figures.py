"""Pods without a kubelet: objects whose status says Running, and small servers that export metrics."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import yaml
from typing_extensions import override

from chatfleet_contract import names
from harness.kube.kubectl import Kubectl

_NUMBERS = count(1)


def new_address() -> str:
    """Return an address of loopback that no other test run uses."""
    return f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 255}.{next(_NUMBERS)}"


class Figures(ThreadingHTTPServer):
    """What one pod exports on its health port; `samples` may change at any time."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: str, samples: Mapping[str, float]) -> None:
        super().__init__((address, names.PORT_HEALTH), _Handler)
        self.address = address
        self.samples = dict(samples)
        self.silent = False
        """Connections that are open are read no more."""
        self.fault: Fault | None = None
        """How it answers instead."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Figures

    def do_GET(self) -> None:
        if self.server.silent:
            self.close_connection = True
            return
        if self.server.fault:
            self.close_connection = True
            self.server.fault(self)
            return
        body = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in self.server.samples.items()).encode()
        _respond(self, 200, body)

    @override
    def log_message(self, format: str, *args: object) -> None:  # the name is the standard library's
        """Log nothing."""


Fault = Callable[[BaseHTTPRequestHandler], None]
"""What a pod does with a request."""


def hangs(request: BaseHTTPRequestHandler) -> None:
    """Send nothing until the other end gives up: as a pod behind a broken network."""
    request.rfile.read(1)


def fails(request: BaseHTTPRequestHandler) -> None:
    """Answer 500, with figures that would look idle."""
    _respond(request, 500, b"chatfleet_active_streams 0\n")


def returns_nan(request: BaseHTTPRequestHandler) -> None:
    """Answer 200 with figures that are none."""
    _respond(request, 200, b"chatfleet_active_streams NaN\n")


def returns_html(request: BaseHTTPRequestHandler) -> None:
    """Answer 200 with what is no metric at all."""
    _respond(request, 200, b"<html>Welcome</html>\n")


def _respond(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def exporting(**samples: float) -> Iterator[Figures]:
    """Serve figures at an address of their own."""
    with Figures(new_address(), samples) as server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        try:
            yield server
        finally:
            server.silent = True
            server.shutdown()


def pod(namespace: str, name: str, deployment: str) -> dict[str, Any]:
    """Return an API pod of a ChatDeployment, as the operator would have it."""
    labels = {names.LABEL_COMPONENT: names.COMPONENT_API, names.LABEL_DEPLOYMENT: deployment}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "api", "image": "none"}], "automountServiceAccountToken": False},
    }


def create(kubectl: Kubectl, made: dict[str, Any], address: str) -> None:
    """Create a pod whose status is that it runs at `address`."""
    kubectl.apply(yaml.safe_dump(made))
    run(kubectl, made["metadata"]["namespace"], made["metadata"]["name"], address)


def status(address: str) -> dict[str, Any]:
    """Return the status, as of a kubelet, of a pod that runs at `address` and is ready."""
    ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "Initialized", "PodScheduled")]
    return {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready}


def run(kubectl: Kubectl, namespace: str, name: str, address: str) -> None:
    """Set, in the kubelet's place, the status that a pod runs at `address` and is ready."""
    kubectl.objects.within(namespace).merge(f"pod/{name}", {"status": status(address)}, "status")
