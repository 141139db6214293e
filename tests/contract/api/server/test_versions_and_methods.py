"""HTTP/1.0, HEAD, and requests to upgrade to WebSocket."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from harness.clients.raw import exchange
from harness.pods.activator_process import activator_process
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted

COUNT = {"model": "count", "messages": [{"role": "user", "content": "Hi"}]}
WEBSOCKET = (
    b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOpenAI-Beta: responses_websockets=2026-02-06\r\n\r\n"
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder: Path = tmp_path_factory.mktemp("api")
    with api_process(folder, scripted("count", "endless")) as running:
        yield running


def post(version: bytes, body: Mapping[str, object]) -> bytes:
    sent = json.dumps(body).encode()
    line = b"POST /v1/chat/completions HTTP/%b\r\nHost: a\r\nContent-Type: application/json\r\n" % version
    return line + b"Content-Length: %d\r\n\r\n" % len(sent) + sent


def test_a_stream_for_http_1_0_has_no_chunks_and_ends_with_its_connection(api: ApiProcess) -> None:
    head, _, body = exchange(api.port, post(b"1.0", COUNT | {"stream": True})).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    frames = body.split(b"\n\n")
    assert all(frame.startswith(b"data: ") for frame in frames[:-1])
    assert frames[-2:] == [b"data: [DONE]", b""]


def test_an_answer_in_one_piece_has_its_length_in_http_1_0_too(api: ApiProcess) -> None:
    head, _, body = exchange(api.port, post(b"1.0", COUNT)).partition(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"
    assert json.loads(body)["choices"][0]["message"]["content"] == "1 2 3 4 5"


@pytest.mark.parametrize("path", ["/", "/ready", "/health", "/v1/models", "/openapi.json", "/nothing"])
def test_head_has_the_headers_of_get_and_no_body(api: ApiProcess, path: str) -> None:
    for port in (api.port, api.health_port):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            answers = []
            for method in ("HEAD", "GET", "HEAD"):  # on one connection: a body would be read as the next response
                connection.request(method, path)
                answer = connection.getresponse()
                answers.append((answer.status, answer.getheader("content-type")))
                assert bool(answer.read()) is (method == "GET")
            assert len(set(answers)) == 1


def test_head_of_a_stream_does_not_wait_for_its_end(api: ApiProcess) -> None:
    begun = {"model": "endless", "input": "Hi", "background": True}
    run = fetch(f"{api.url}/v1/responses", begun).json["id"]
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", api.port, timeout=5)) as connection:
            connection.request("HEAD", f"/v1/responses/{run}?stream=true")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
            connection.request("GET", "/ready")
            assert connection.getresponse().read() == b"ok"
    finally:
        fetch(f"{api.url}/v1/responses/{run}/cancel", {})


def test_head_of_what_only_takes_post_is_not_allowed(api: ApiProcess) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)) as connection:
        connection.request("HEAD", "/v1/chat/completions")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("allow")) == (405, "POST")


def test_websocket_is_refused_by_the_status_after_which_clients_use_http(api: ApiProcess, tmp_path: Path) -> None:
    with activator_process(tmp_path) as activator:
        for port in (api.port, activator.config.port):
            head, _, body = exchange(port, WEBSOCKET % b"/v1/responses").partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
            assert b"upgrade: HTTP/1.1" in head
            assert json.loads(body)["error"]["code"] == "upgrade_required"
