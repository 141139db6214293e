"""Heads of requests as clients send them: with an upgrade that we do not offer, and without an end."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path

import pytest

from harness.pods.api_process import ApiProcess, api_process, scripted

UPGRADE = (
    b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    b"Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.1\r\n"
)
"""What `java.net.http.HttpClient` adds to its first request."""
MIB = 1024 * 1024
SENT = 64


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder: Path = tmp_path_factory.mktemp("api")
    with api_process(folder, scripted("echo")) as running:
        yield running


def rest(client: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    parts = []
    with suppress(ConnectionError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def conversation(head: bytes) -> tuple[bytes, bytes]:
    body = json.dumps({"user_id": "anna", "title": "Trip", "metadata": {"a": "b"}}).encode()
    line = b"POST /api/v1/conversations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return line + head + b"Content-Length: %d\r\n\r\n" % len(body), body


@pytest.mark.parametrize("parts", ["together", "apart"])
def test_a_request_to_upgrade_keeps_its_body(api: ApiProcess, parts: str) -> None:
    head, body = conversation(UPGRADE)
    last = b"GET /ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as client:
        if parts == "together":
            client.sendall(head + body + last)
        else:
            client.sendall(head)
            client.sendall(body[:5])
            client.sendall(body[5:] + last)
        answer = rest(client)
    assert answer.startswith(b"HTTP/1.1 201 ")
    for kept in (b'"user_id":"anna"', b'"title":"Trip"'):
        assert kept in answer
    assert b'"a":"b"' in answer
    assert answer.endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET /ready HTTP/1.1\r\n", b"x-a: %b\r\n" % (b"b" * 1000)),
        (b"GET /ready HTTP/1.1\r\nx-a: ", b"b" * 1000),
        (b"GET /", b"b" * 1000),
    ],
    ids=["headers", "one header", "target"],
)
def test_a_head_without_end_is_refused_and_not_held(api: ApiProcess, begin: bytes, more: bytes) -> None:
    before = memory(api)
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as client:
        client.sendall(begin)
        with suppress(ConnectionError):
            for piece in repeat(more * 64, SENT * MIB // len(more * 64)):
                client.sendall(piece)
    assert memory(api) - before < 8 * MIB


def test_a_head_that_is_too_large_gets_431(api: ApiProcess) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as client:
        client.sendall(b"GET /ready HTTP/1.1\r\nx-a: ")
        answer = b""
        with suppress(ConnectionError):
            for _ in range(1000):
                client.sendall(b"b" * 1000)
                client.setblocking(False)  # noqa: FBT003  # the answer may come between two pieces
                with suppress(BlockingIOError):
                    answer += client.recv(65_536)
                client.settimeout(20)
                if answer:
                    break
            else:
                answer += client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 431 ")


def memory(api: ApiProcess) -> int:
    """Return the bytes of memory that the process holds."""
    status = Path(f"/proc/{api.program.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
