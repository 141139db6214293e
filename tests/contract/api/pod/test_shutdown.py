"""How a pod ends: as a process."""

import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import openai
import pytest

from harness.clients.sdk import ask
from harness.pods.api_process import api_process, fetch, new_api_process, scripted
from harness.polling import eventually


def test_at_the_end_streams_go_on_probes_answer_and_nobody_new_is_let_in(tmp_path: Path) -> None:
    with new_api_process(tmp_path, scripted()) as api:
        with ask(api, "slow") as stream:
            chunks = iter(stream)
            next(chunks)
            api.program.terminate()
            eventually(lambda: api.health("/ready").status == 503)
            assert api.health("/ready").body == b"draining"
            assert api.health("/live").status == 200
            assert api.health("/health").json["draining"] is True
            eventually(lambda: refuses(api.port))
            rest = [chunk.choices[0] for chunk in chunks]
        assert rest[-1].finish_reason == "stop"
        assert "".join(choice.delta.content or "" for choice in rest).split()[-1] == "30"
        assert api.program.exit_status() == 0


def test_a_run_that_nobody_reads_is_finished_before_the_end(tmp_path: Path, redis_url: str) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(redis_url)
    config = scripted().model_copy(update={"redis_url_file": str(url_file)})
    with api_process(tmp_path, config) as api:
        path = f"/api/v1/conversations/{fetch(f'{api.url}/api/v1/conversations', {}).json['id']}/messages"
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
        body = '{"content":"Hi","model":"slow","stream":true}'
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
        api.program.terminate()
        assert api.program.exit_status() == 0
    with api_process(tmp_path, config) as next_one:
        answer = fetch(next_one.url + path).json["messages"][1]
        assert answer["status"] == "complete"
        assert answer["content"].split()[-1] == "30"


def test_what_outlives_the_longest_stream_is_told_that_it_was_interrupted(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted(max_stream_seconds=2)) as api:
        stream = ask(api, "endless")
        next(iter(stream))
        api.program.terminate()
        with pytest.raises(openai.APIError) as caught:
            list(stream)
        assert caught.value.code == "interrupted"
        assert api.program.exit_status() == 0


def test_control_a_process_that_is_killed_cuts_its_streams(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted()) as api:
        stream = ask(api, "slow")
        next(iter(stream))
        api.program.kill()
        with pytest.raises(openai.APIConnectionError):
            list(stream)


def test_the_last_call_takes_requests_and_asks_for_another_connection(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted()) as api:
        kept = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
        kept.request("GET", "/v1/models")
        before = kept.getresponse()
        before.read()
        api.program.terminate()
        eventually(lambda: api.health("/ready").status == 503)
        kept.request("GET", "/v1/models")
        answer = kept.getresponse()
        assert answer.status == 200
        assert (before.getheader("connection"), answer.getheader("connection")) == (None, "close")
        answer.read()
        assert api.program.exit_status() == 0


@pytest.mark.timed
def test_without_time_to_drain_there_is_no_last_call(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted(drain_seconds=0)) as api, ask(api, "slow") as stream:
        next(iter(stream))
        api.program.terminate()
        eventually(lambda: refuses(api.port), seconds=1)
        assert list(stream)[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", ["slow", "lasting"])  # the one ends before the last call does, the other after
def test_a_client_sees_the_end_of_its_connection_with_that_of_its_answer(tmp_path: Path, model: str) -> None:
    """Else it would send its next request over a connection that is about to go, and lose it."""
    body = f'{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Hi"}}]}}'.encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: pod\r\nContent-Type: application/json\r\n"
    request = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
    with api_process(tmp_path, scripted()) as api, ExitStack() as opened:
        clients = [opened.enter_context(socket.create_connection(("127.0.0.1", api.port))) for _ in range(20)]
        for client in clients:
            client.sendall(request)
        heads = [client.recv(4096) for client in clients]
        assert all(head.startswith(b"HTTP/1.1 200") and b"connection: close" not in head.lower() for head in heads)
        api.program.terminate()
        with ThreadPoolExecutor(len(clients)) as readers:
            assert all(readers.map(ends_at_once, clients))
        assert api.program.exit_status() == 0


def ends_at_once(client: socket.socket) -> bool:
    """Read an answer to its last byte; returns whether the connection had ended by then."""
    while (came := client.recv(4096))[-5:] != b"0\r\n\r\n":
        assert came
    try:
        return client.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


@pytest.mark.timed
def test_an_idle_process_ends_at_once(tmp_path: Path) -> None:
    with new_api_process(tmp_path, scripted()) as api:
        began = monotonic()
        api.program.terminate()
        assert api.program.exit_status() == 0
        assert monotonic() - began < 3


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False
