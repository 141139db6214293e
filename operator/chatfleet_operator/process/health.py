"""The operator's own health endpoints, on a port and in a thread of their own, so that a stuck event loop shows.

`/live` fails when the event loop is stuck, so that the kubelet restarts the process. `/ready` succeeds once the watches
have started: both a leader and a standby are ready. `/metrics` is for Prometheus.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from typing_extensions import override

from chatfleet_contract.names import PATH_LIVE, PATH_METRICS, PATH_READY

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

MAX_LAG_SECONDS: Final = 30.0
"""An event loop without a heartbeat for so long is stuck: no reconciliation computes for seconds."""

CLIENT_SECONDS: Final = 5.0
"""Timeout of a client of the health port."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class LoopHeartbeat:
    """The heartbeat of the event loop, read from the health server's thread."""

    started: threading.Event
    """Set when the watches have started."""
    clock: Callable[[], float]
    """Monotonic."""
    recorded_at: float = 0.0
    """By `clock`."""

    def record(self) -> None:
        self.recorded_at = self.clock()

    def lag(self) -> float:
        """Return the seconds since the last heartbeat."""
        return self.clock() - self.recorded_at


def health_app(heartbeat: LoopHeartbeat, registry: CollectorRegistry) -> "WSGIApplication":
    metrics = make_wsgi_app(registry)
    checks: dict[str, Callable[[], bool]] = {
        PATH_LIVE: lambda: heartbeat.lag() < MAX_LAG_SECONDS,
        PATH_READY: lambda: heartbeat.started.is_set() and heartbeat.lag() < MAX_LAG_SECONDS,
    }

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == PATH_METRICS:
            exposition: Iterable[bytes] = metrics(environ, start_response)
            return exposition
        check = checks.get(path)
        status, body = _response(check)
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return app


def _response(check: Callable[[], bool] | None) -> tuple[str, bytes]:
    if check is None:
        return "404 Not Found", f"not found; available: {PATH_LIVE}, {PATH_READY}, {PATH_METRICS}\n".encode()
    return ("200 OK", b"ok\n") if check() else ("503 Service Unavailable", b"unavailable\n")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    @override
    def server_bind(self) -> None:
        """Bind to both families, without the name lookup of the standard library: it may take as long as DNS does."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "operator", self.server_address[1]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    @override
    def log_message(self, format: str, *args: object) -> None:  # the name is the standard library's
        """Log nothing: probes come every few seconds."""


def serve(app: "WSGIApplication", port: int) -> WSGIServer:
    """Serve `app` on all addresses from a thread of its own until `shutdown()`; the port is `server_port`."""
    server = make_server("", port, app, server_class=_Server, handler_class=_Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    logger.info("Serving health and metrics on port %d", server.server_port)
    return server
