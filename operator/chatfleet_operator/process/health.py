"""The operator's own health, on its own port and thread: it answers also when the event loop does not.

`/live` fails when the event loop stands still, so that the kubelet restarts the process. `/ready` says whether the
watches have started: a leader that works and a standby that waits are both well. `/metrics` is for Prometheus.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from typing_extensions import override

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

MAX_LAG_SECONDS: Final = 30.0
"""An event loop that has not turned for so long is stuck: no pass of ours computes for seconds."""

CLIENT_SECONDS: Final = 5.0
"""A client of the health port that sends nothing for so long is dropped."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class LoopHeartbeat:
    """What the event loop says about itself, read from the health server's thread."""

    started: threading.Event
    """Set when the watches have begun."""
    beaten_at: float = 0.0
    """Monotonic time of the loop's last turn."""

    def beat(self) -> None:
        """Note that the event loop turns."""
        self.beaten_at = time.monotonic()

    def lag(self) -> float:
        """Return the seconds since the event loop last turned."""
        return time.monotonic() - self.beaten_at


def health_app(pulse: LoopHeartbeat, registry: CollectorRegistry) -> "WSGIApplication":
    """Return the application behind the health port."""
    metrics = make_wsgi_app(registry)
    checks: dict[str, Callable[[], bool]] = {
        "/live": lambda: pulse.lag() < MAX_LAG_SECONDS,
        "/ready": lambda: pulse.started.is_set() and pulse.lag() < MAX_LAG_SECONDS,
    }

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            exposition: Iterable[bytes] = metrics(environ, start_response)
            return exposition
        check = checks.get(path)
        status, body = _answer(check)
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return app


def _answer(check: Callable[[], bool] | None) -> tuple[str, bytes]:
    if check is None:
        return "404 Not Found", b"not found; there is /live, /ready and /metrics\n"
    return ("200 OK", b"ok\n") if check() else ("503 Service Unavailable", b"not yet, or no more\n")


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
        """Say nothing: probes come every few seconds."""


def serve(app: "WSGIApplication", port: int) -> WSGIServer:
    """Serve `app` on all addresses from a thread of its own until `shutdown()`; the port is `server_port`."""
    server = make_server("", port, app, server_class=_Server, handler_class=_Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    logger.info("health and metrics on port %d", server.server_port)
    return server
