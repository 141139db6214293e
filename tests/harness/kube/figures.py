"""Pods without a kubelet: objects whose status says Running, and small servers that tell their figures."""

import json
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
    """What one pod tells on its health port; `told` may change at any time."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: str, told: Mapping[str, float]) -> None:
        super().__init__((address, names.PORT_HEALTH), _Handler)
        self.address = address
        self.told = dict(told)
        self.silent = False
        """Connections that are open are heard no more."""
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
        body = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in self.server.told.items()).encode()
        _say(self, 200, body)

    @override
    def log_message(self, format: str, *args: object) -> None:  # the name is the standard library's
        """Say nothing."""


Fault = Callable[[BaseHTTPRequestHandler], None]
"""What a pod does to one who asks."""


def hangs(asked: BaseHTTPRequestHandler) -> None:
    """Say nothing until the other end gives up: as a pod behind a broken network."""
    asked.rfile.read(1)


def fails(asked: BaseHTTPRequestHandler) -> None:
    """Answer 500, with figures that would look idle."""
    _say(asked, 500, b"chatfleet_active_streams 0\n")


def babbles(asked: BaseHTTPRequestHandler) -> None:
    """Answer 200 with figures that are none."""
    _say(asked, 200, b"chatfleet_active_streams NaN\n")


def forgets(asked: BaseHTTPRequestHandler) -> None:
    """Answer 200 with what is no metric at all."""
    _say(asked, 200, b"<html>Welcome</html>\n")


def _say(asked: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    asked.send_response(status)
    asked.send_header("Content-Length", str(len(body)))
    asked.end_headers()
    asked.wfile.write(body)


@contextmanager
def telling(**told: float) -> Iterator[Figures]:
    """Serve figures at an address of their own."""
    with Figures(new_address(), told) as server:
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
    """Create a pod and say that it runs at `address`."""
    kubectl.apply(yaml.safe_dump(made))
    run(kubectl, made["metadata"]["namespace"], made["metadata"]["name"], address)


def status(address: str) -> dict[str, Any]:
    """Return what a kubelet says of a pod that runs at `address` and is ready."""
    ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "Initialized", "PodScheduled")]
    return {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready}


def run(kubectl: Kubectl, namespace: str, name: str, address: str) -> None:
    """Say, in the kubelet's stead, that a pod runs at `address` and is ready."""
    patch = json.dumps({"status": status(address)})
    kubectl("patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
