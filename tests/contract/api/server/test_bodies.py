"""Bodies that are too large: the client reads 413, whenever it reads, and sends none of it twice."""

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path

import openai
import pytest

from chatfleet_api.web.middleware.body_limit import DISCARDED_BYTES, MAX_BODY_BYTES
from harness.clients.raw import connect, exchange, response, rest
from harness.pods.api_process import ApiProcess, api_process, scripted

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder: Path = tmp_path_factory.mktemp("api")
    with api_process(folder, scripted("echo")) as running:
        yield running


def declared(size: int, *headers: bytes) -> bytes:
    return HEAD + b"".join(headers) + b"Content-Length: %d\r\n\r\n" % size


def test_the_sdk_uploads_once(api: ApiProcess) -> None:
    requests: list[object] = []
    counting = openai.DefaultHttpxClient(event_hooks={"request": [requests.append]})
    client = openai.OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=2, http_client=counting)
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "x" * 16 * MIB}])
    assert caught.value.status_code == 413
    assert caught.value.code == "request_too_large"
    assert len(requests) == 1


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"], ids=["", "100-continue"])
def test_what_declares_its_length_is_refused_before_it_is_sent(api: ApiProcess, expect: bytes) -> None:
    with connect(api.port) as client:
        client.sendall(declared(MAX_BODY_BYTES + 1, expect))
        answer, body = response(client)  # a 100 would be the first
        assert (answer.status, answer.getheader("connection")) == (413, "close")
        assert json.loads(body)["error"]["code"] == "request_too_large"


def test_a_client_that_reads_when_it_has_sent_everything_reads_the_refusal(api: ApiProcess) -> None:
    chunk = b"%x\r\n%b\r\n" % (MIB, b" " * MIB)
    for request in (
        declared(16 * MIB) + b" " * 16 * MIB,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 16 + b"0\r\n\r\n",
    ):
        assert exchange(api.port, request).startswith(b"HTTP/1.1 413 ")


def test_the_largest_body_is_taken(api: ApiProcess) -> None:
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}).encode().ljust(MAX_BODY_BYTES)
    answer = exchange(api.port, declared(len(body), b"Connection: close\r\n") + body)
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_body_without_end_is_read_for_a_while_only_and_not_held(api: ApiProcess) -> None:
    before, sent = api.program.resident_bytes, 0
    with connect(api.port) as client, suppress(ConnectionError):
        client.sendall(declared(1024 * MIB))
        for piece in repeat(b" " * MIB, 1024):
            client.sendall(piece)
            sent += len(piece)
        rest(client)
    assert DISCARDED_BYTES - MIB < sent < DISCARDED_BYTES + 64 * MIB  # what the kernel buffers comes on top
    assert api.program.resident_bytes - before < 16 * MIB
