"""The API as a process: how it starts, what it says when it cannot, how it takes a new configuration, how it ends."""

import http.client
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic

import openai
import pytest
import redis
from openai.types.chat import ChatCompletionChunk, ChatCompletionUserMessageParam

from chatfleet_contract import metrics
from chatfleet_contract.names import PATH_DRAIN
from chatfleet_contract.spec import Conversations
from harness.net import free_port
from harness.pods.api_process import ApiProcess, api_process, fetch, run_api, scripted
from harness.polling import eventually

HI: ChatCompletionUserMessageParam = {"role": "user", "content": "Hi"}
POD_METRICS = {row.name for row in metrics.POD_METRICS}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """A pod with scripted models that all tests share which do not end it."""
    with api_process(tmp_path_factory.mktemp("api"), scripted()) as running:
        yield running


def ask(api: ApiProcess, model: str) -> openai.Stream[ChatCompletionChunk]:
    """Ask for a stream by the vendor's SDK."""
    client = openai.OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0)
    return client.chat.completions.create(model=model, messages=[HI], stream=True)


def test_the_first_look_needs_nothing_and_says_what_to_try(tmp_path: Path) -> None:
    with api_process(tmp_path) as running:
        said = running.log.read_text()
        shown = re.search(r"curl -N (\S+) -H '([^']*)' \\\n +-d '([^']*)'", said)
        assert shown, said
        url, header, body = shown.groups()
        command = ("curl", "-sN", "--max-time", "2", url, "-H", header, "-d", body)  # the story takes longer
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout
        assert told.count('"content":"') > 20
        assert f"http://127.0.0.1:{running.health_port}/health" in said


def test_help_names_every_variable() -> None:
    printed = run_api("--help")
    assert printed.returncode == 0
    for name in ("CONFIG_FILE", "HOST", "PORT", "HEALTH_PORT", "REDIS_URL", "POD_NAME"):
        assert f"CHATFLEET_{name} " in printed.stdout


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"CHATFLEET_PORT": "http"}, "CHATFLEET_PORT is 'http'; set it to a port between 0"),
        ({"CHATFLEET_CONFIG_FILE": "/nowhere"}, "/nowhere cannot be read: No such file or directory"),
        ({"CHATFLEET_REDIS_URL": "http://r"}, "the URL of Redis is not valid: "),
        ({"CHATFLEET_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1:0: "),
    ],
)
def test_what_keeps_it_from_starting_is_one_sentence_and_status_2(environment: dict[str, str], says: str) -> None:
    ended = run_api(**environment)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"chatfleet-api: {says}")


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_api(CHATFLEET_PORT="0", CHATFLEET_HEALTH_PORT=str(port))
    assert ended.returncode == 2
    remedy = "End what listens there, or set CHATFLEET_HEALTH_PORT to another port"
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use. {remedy}" in ended.stderr


def test_a_configuration_that_does_not_fit_together_is_told(tmp_path: Path) -> None:
    config = scripted("echo")
    model = config.models[0].model_copy(update={"provider": "nobody"})
    (tmp_path / "c.json").write_text(config.model_copy(update={"models": (model,)}).render())
    ended = run_api(CHATFLEET_CONFIG_FILE=str(tmp_path / "c.json"), CHATFLEET_PORT="0", CHATFLEET_HEALTH_PORT="0")
    assert ended.returncode == 2
    assert "provider nobody is not in providers" in ended.stderr


def test_probes_and_report_are_on_the_health_port(api: ApiProcess) -> None:
    for path in ("/live", "/ready", "/startup"):
        assert api.health(path).status == 200
    report = api.health("/health").json
    assert report["config"] == scripted().digest()
    assert report["maxStreams"] == 500
    assert api.health("/v1/models").status == 404


def test_every_metric_of_a_pod_is_exported(api: ApiProcess) -> None:
    names = {line.split()[2] for line in api.health("/metrics").body.decode().splitlines() if line.startswith("# TYPE")}
    assert names >= POD_METRICS


def test_open_streams_are_counted_while_they_are_open(api: ApiProcess) -> None:
    with ask(api, "endless") as stream:
        next(iter(stream))
        eventually(lambda: b"chatfleet_active_streams 1.0" in api.health("/metrics").body, seconds=5)
    eventually(lambda: b"chatfleet_active_streams 0.0" in api.health("/metrics").body, seconds=5)


def test_a_new_configuration_is_served_without_a_restart(tmp_path: Path) -> None:
    before, after = scripted("echo"), scripted("echo", "count", max_streams_per_pod=7)
    with api_process(tmp_path, before) as api:
        file = tmp_path / "runtime.json"
        with ask(api, "echo") as stream:
            file.write_text(after.render())
            eventually(lambda: api.health("/health").json["config"] == after.digest(), seconds=10)
            assert [chunk.choices[0].delta.content for chunk in stream][1] == "Hi"
        answer = fetch(f"{api.url}/v1/models")
        assert answer.headers["x-chatfleet-config"] == after.digest()
        assert [model["id"] for model in answer.json["data"]] == ["echo", "count"]
        eventually(lambda: api.health("/health").json["maxStreams"] == 7, seconds=5)
        file.write_text(after.render().replace("scripted", "nobody", 1))
        eventually(lambda: "configError" in api.health("/health").json, seconds=10)
        assert api.health("/ready").status == 200
        assert fetch(f"{api.url}/v1/models/count").status == 200
        file.write_text(after.render())
        eventually(lambda: "configError" not in api.health("/health").json, seconds=10)


def test_conversations_are_the_fleets(tmp_path: Path, redis_url: str) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(f"{redis_url}\n")
    config = scripted().model_copy(update={"redis_url_file": str(url_file)})
    with api_process(tmp_path, config) as one, api_process(tmp_path, config) as other:
        made = fetch(f"{one.url}/api/v1/conversations", {}).json
        path = f"/api/v1/conversations/{made['id']}/messages"
        fetch(one.url + path, {"content": "from one", "model": "echo"})
        fetch(other.url + path, {"content": "from other", "model": "echo"})
        said = [message["content"] for message in fetch(one.url + path).json["messages"]]
        assert said == ["from one", "from one", "from other", "from other"]
        eventually(lambda: one.health("/health").json["redis"] == {"state": "up"}, seconds=5)


def test_a_changed_time_to_live_holds_for_what_is_written_from_then_on(tmp_path: Path, redis_url: str) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(redis_url)
    before = scripted("echo").model_copy(update={"redis_url_file": str(url_file)})
    after = before.model_copy(update={"conversations": Conversations(ttl_seconds=60)})
    with api_process(tmp_path, before) as api, redis.Redis.from_url(redis_url) as client:
        fetch(f"{api.url}/api/v1/conversations", {})
        assert all(client.ttl(key) > 1000 for key in client.scan_iter("*:conversation"))
        (tmp_path / "runtime.json").write_text(after.render())
        eventually(lambda: api.health("/health").json["config"] == after.digest(), seconds=10)
        client.flushall()
        fetch(f"{api.url}/api/v1/conversations", {})
        assert all(0 < client.ttl(key) <= 60 for key in client.scan_iter())


def test_a_pod_starts_and_answers_while_redis_is_away(tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(f"redis://127.0.0.1:{free_port()}/0")
    with api_process(tmp_path, scripted().model_copy(update={"redis_url_file": str(url_file)})) as api:
        assert api.health("/ready").status == 200
        assert fetch(f"{api.url}/v1/chat/completions", {"model": "echo", "messages": [HI]}).status == 200
        refused = fetch(f"{api.url}/api/v1/conversations", {})
        assert refused.status == 503
        assert refused.headers["retry-after"]
        eventually(lambda: api.health("/health").json["redis"]["state"] == "down", seconds=10)


def test_at_the_end_streams_go_on_probes_answer_and_nobody_new_is_let_in(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted()) as api:
        with ask(api, "slow") as stream:
            chunks = iter(stream)
            next(chunks)
            api.program.terminate()
            eventually(lambda: api.health("/ready").status == 503, seconds=5)
            assert api.health("/ready").body == b"draining"
            assert api.health("/live").status == 200
            assert api.health("/health").json["draining"] is True
            eventually(lambda: refuses(api.port), seconds=5)
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
        eventually(lambda: api.health("/ready").status == 503, seconds=5)
        kept.request("GET", "/v1/models")
        answer = kept.getresponse()
        assert answer.status == 200
        assert (before.getheader("connection"), answer.getheader("connection")) == (None, "close")
        answer.read()
        assert api.program.exit_status() == 0


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


def test_from_the_hook_on_clients_are_sent_elsewhere_and_nobody_is_refused(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted(drain_seconds=1)) as api:
        assert models(api) == (200, None)
        assert api.health(PATH_DRAIN).status == 403
        assert models(api) == (200, None)
        assert api.drain().status == 200
        assert models(api) == (200, "close")
        assert api.health("/ready").status == 200
        eventually(lambda: models(api) == (200, None), seconds=10)


def test_a_pod_that_is_nearly_full_sends_clients_elsewhere(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted(max_streams_per_pod=3)) as api:
        streams = [ask(api, "slow") for _ in range(2)]
        assert models(api) == (200, None)
        streams.append(ask(api, "slow"))
        assert models(api) == (200, "close")
        for stream in streams:
            list(stream)
        eventually(lambda: models(api) == (200, None), seconds=10)


def models(api: ApiProcess) -> tuple[int, str | None]:
    """Ask as a client does that would keep its connection; return the status, and what becomes of the connection."""
    kept = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    with closing(kept):
        kept.request("GET", "/v1/models")
        answer = kept.getresponse()
        return answer.status, answer.getheader("connection")


def test_an_idle_process_ends_at_once(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted()) as api:
        began = monotonic()
        api.program.terminate()
        assert api.program.exit_status() == 0
        assert monotonic() - began < 3


def test_the_probes_answer_while_the_main_loop_is_busy(api: ApiProcess) -> None:
    body = {"model": "flood", "messages": [HI], "max_tokens": 200_000}
    worker = threading.Thread(target=fetch, args=(f"{api.url}/v1/chat/completions", body))
    worker.start()
    try:
        slowest = 0.0
        while worker.is_alive():
            began = monotonic()
            assert api.health("/live").status == 200
            slowest = max(slowest, monotonic() - began)
            worker.join(0.02)
    finally:
        worker.join()
    assert slowest < 1


@pytest.mark.timeout(90)
def test_a_client_that_reads_no_more_is_cut_off(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted("flood")) as api, socket.create_connection(("127.0.0.1", api.port)) as stuck:
        body = b'{"model":"flood","stream":true,"messages":[{"role":"user","content":"Hi"}]}'
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        stuck.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        peer = stuck.getsockname()[1]
        eventually(lambda: has_connection(api.program.pid, peer), seconds=5)
        began = monotonic()
        eventually(lambda: not has_connection(api.program.pid, peer), seconds=30)
        assert monotonic() - began > 5
        left = b'chatfleet_streams_ended_total{dialect="openai",reason="client_disconnected"} 1.0'
        assert left in api.health("/metrics").body


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def has_connection(pid: int, peer: int) -> bool:
    """Return whether the process still keeps a connection with port `peer`, open or closing."""
    known = "".join(Path(f"/proc/{pid}/net/{table}").read_text() for table in ("tcp", "tcp6"))
    here = rf":[0-9A-F]{{4}} [0-9A-F]+:{peer:04X} (?!06)"  # 06: closed by both, only remembered
    return re.search(here, known) is not None
