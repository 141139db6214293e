"""Clients that dribble their requests are not waited for; those that are only idle between two requests are."""

import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from chatfleet_api.server.protocol import HEADERS_SECONDS
from harness.clients.raw import rest
from harness.pods.api_process import ApiProcess, api_process, scripted

LINE = b"GET /ready HTTP/1.1\r\n"
REQUEST = LINE + b"host: a\r\n\r\n"
TOLERANCE = 3.0


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder: Path = tmp_path_factory.mktemp("api")
    with api_process(folder, scripted("echo")) as running:
        yield running


def connect(api: ApiProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), timeout=HEADERS_SECONDS + TOLERANCE)


def ask(client: socket.socket) -> None:
    """Ask, and read the whole answer."""
    client.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"\r\n\r\nok"):
        answer += client.recv(65_536)


def test_slow_headers_end_the_connection_and_idleness_does_not(api: ApiProcess) -> None:
    with connect(api) as silent, connect(api) as begun, connect(api) as second, connect(api) as idle:
        began = monotonic()
        begun.sendall(LINE)
        for client in (second, idle):
            ask(client)
        second.sendall(LINE)
        assert rest(begun).startswith(b"HTTP/1.1 408 ")
        assert HEADERS_SECONDS - 0.5 < monotonic() - began < HEADERS_SECONDS + TOLERANCE
        assert rest(second).startswith(b"HTTP/1.1 408 ")
        assert rest(silent) == b""
        ask(idle)
