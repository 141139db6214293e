"""Heads of requests as clients send them: with an upgrade that we do not offer, and without an end."""

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path

import pytest

from harness.clients.raw import connect, response, rest
from harness.pods.activator_process import ActivatorProcess, activator_process
from harness.pods.api_process import ApiProcess, api_process, scripted
from harness.process import Program

UPGRADE = (
    b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    b"Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.1\r\n"
)
"""What `java.net.http.HttpClient` adds to its first request."""
JSON = b"Host: a\r\nContent-Type: application/json\r\n"
CHUNKED = b"POST /v1/chat/completions HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 1024 * 1024
SENT = 64


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder: Path = tmp_path_factory.mktemp("api")
    with api_process(folder, scripted("echo", "lasting")) as running:
        yield running


@pytest.fixture(scope="module")
def activator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActivatorProcess]:
    with activator_process(tmp_path_factory.mktemp("activator")) as running:
        yield running


@pytest.fixture(params=["serving port", "health port", "activator", "activator's health port"])
def listening(request: pytest.FixtureRequest, api: ApiProcess, activator: ActivatorProcess) -> tuple[int, Program]:
    """A port, and the process that listens there."""
    return {
        "serving port": (api.port, api.program),
        "health port": (api.health_port, api.program),
        "activator": (activator.config.port, activator.program),
        "activator's health port": (activator.config.health_port, activator.program),
    }[request.param]


def conversation(head: bytes) -> tuple[bytes, bytes]:
    body = json.dumps({"user_id": "anna", "title": "Trip", "metadata": {"a": "b"}}).encode()
    line = b"POST /api/v1/conversations HTTP/1.1\r\n" + JSON
    return line + head + b"Content-Length: %d\r\n\r\n" % len(body), body


@pytest.mark.parametrize("parts", ["together", "apart"])
def test_a_request_to_upgrade_keeps_its_body(api: ApiProcess, parts: str) -> None:
    head, body = conversation(UPGRADE)
    last = b"GET /ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    with connect(api.port) as client:
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
        (CHUNKED + b"1\r\n{\r\n0\r\n", b"x-a: %b\r\n" % (b"b" * 1000)),
        (CHUNKED + b"1\r\n{\r\n0\r\nx-a: ", b"b" * 1000),
        (CHUNKED + b"1;", b"a=%b;" % (b"b" * 1000)),
    ],
    ids=["headers", "one header", "target", "trailers", "one trailer", "chunk extensions"],
)
def test_a_head_without_end_is_refused_and_not_held(listening: tuple[int, Program], begin: bytes, more: bytes) -> None:
    port, program = listening
    before = program.resident_bytes
    with connect(port) as client:
        client.sendall(begin)
        with suppress(ConnectionError):
            for piece in repeat(more * 64, SENT * MIB // len(more * 64)):
                client.sendall(piece)
        assert program.resident_bytes - before < 8 * MIB


def test_a_client_that_sends_on_reads_431(listening: tuple[int, Program]) -> None:
    port, _ = listening
    with connect(port) as client:
        client.sendall(b"GET /ready HTTP/1.1\r\nx-a: " + b"b" * MIB)
        assert response(client)[0].status == 431


def test_trailers_without_end_are_refused_while_the_body_is_waited_for(api: ApiProcess) -> None:
    with connect(api.port) as client:
        client.sendall(CHUNKED + b"0\r\nx-a: " + b"b" * MIB)
        assert response(client)[0].status == 431


def test_trailers_without_end_add_nothing_to_a_response_that_has_ended(api: ApiProcess) -> None:
    with connect(api.health_port) as client:
        client.sendall(CHUNKED + b"0\r\nx-a: ")
        assert response(client)[0].status == 404  # this port reads no body
        client.sendall(b"b" * MIB)
        assert rest(client) == b""


def test_a_second_head_without_end_adds_nothing_to_the_answer_to_the_first(api: ApiProcess) -> None:
    body = json.dumps({"model": "lasting", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}).encode()
    first = b"POST /v1/chat/completions HTTP/1.1\r\n" + JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connect(api.port) as client:
        client.sendall(first)
        answer = client.recv(65_536)
        client.sendall(b"GET /ready HTTP/1.1\r\nx-a: " + b"b" * MIB)
        answer += rest(client)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1
