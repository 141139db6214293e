"""An HTTP server that receives webhooks: it keeps requests, and answers with the status or fault of the test."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from typing_extensions import override

from harness.net import LOOPBACK


class Got(NamedTuple):
    """One request, and how it was answered."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:  # noqa: ANN401  # JSON
        return json.loads(self.body)


class Receiver:
    """What was received, in order; `answer` returns the status of each request, and may block."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answer: Callable[[str, int], int] = lambda *_: HTTPStatus.NO_CONTENT
        """Gets the id of the event, and how often it has come before."""
        self.port = 0
        self._tries: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/hook"

    @property
    def accepted(self) -> list[Got]:
        """Requests that were acknowledged."""
        return [each for each in [*self.got] if each.status == HTTPStatus.NO_CONTENT]

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Keep a request, and return the status of its answer; 0: the connection is closed without one."""
        ident = headers["webhook-id"]
        with self._lock:
            before = self._tries.get(ident, 0)
            self._tries[ident] = before + 1
        status = self.answer(ident, before)
        with self._lock:
            self.got.append(Got(path, headers, body, status))
        return status


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Receive until the block ends, at any port or at that one."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-length", "0")
            if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
                self.send_header("location", "/elsewhere")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((LOOPBACK, port), Handler) as server:
        receiver.port = server.server_port
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            serving.join()
