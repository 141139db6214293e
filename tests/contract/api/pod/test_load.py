"""What a pod shows of itself, and where it sends clients when it is full, busy or about to end: as a process."""

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from chatfleet_contract import metrics
from chatfleet_contract.names import PATH_DRAIN
from harness.clients.sdk import HI, ask
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.polling import eventually

pytestmark = pytest.mark.lasts(20)

POD_METRICS = {row.name for row in metrics.POD_METRICS}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """A pod with scripted models that all tests share which do not end it."""
    with api_process(tmp_path_factory.mktemp("api"), scripted()) as running:
        yield running


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
        eventually(lambda: b"chatfleet_active_streams 1.0" in api.health("/metrics").body)
    eventually(lambda: b"chatfleet_active_streams 0.0" in api.health("/metrics").body)


def test_from_the_hook_on_clients_are_sent_elsewhere_and_nobody_is_refused(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted(drain_seconds=1)) as api:
        assert models(api) == (200, None)
        assert api.health(PATH_DRAIN).status == 403
        assert models(api) == (200, None)
        assert api.drain().status == 200
        assert models(api) == (200, "close")
        assert api.health("/ready").status == 200
        eventually(lambda: models(api) == (200, None))


def test_a_pod_that_is_nearly_full_sends_clients_elsewhere(tmp_path: Path) -> None:
    with api_process(tmp_path, scripted(max_streams_per_pod=3)) as api:
        streams = [ask(api, "slow") for _ in range(2)]
        assert models(api) == (200, None)
        streams.append(ask(api, "slow"))
        assert models(api) == (200, "close")
        for stream in streams:
            list(stream)
        eventually(lambda: models(api) == (200, None))


def models(api: ApiProcess) -> tuple[int, str | None]:
    """Ask as a client does that would keep its connection; return the status, and what becomes of the connection."""
    kept = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
    with closing(kept):
        kept.request("GET", "/v1/models")
        answer = kept.getresponse()
        return answer.status, answer.getheader("connection")


@pytest.mark.timed
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
        eventually(lambda: has_connection(api.program.pid, peer))
        began = monotonic()
        eventually(lambda: not has_connection(api.program.pid, peer))
        assert monotonic() - began > 5
        left = b'chatfleet_streams_ended_total{dialect="openai",reason="client_disconnected"} 1.0'
        assert left in api.health("/metrics").body


def has_connection(pid: int, peer: int) -> bool:
    """Return whether the process still keeps a connection with port `peer`, open or closing."""
    known = "".join(Path(f"/proc/{pid}/net/{table}").read_text() for table in ("tcp", "tcp6"))
    here = rf":[0-9A-F]{{4}} [0-9A-F]+:{peer:04X} (?!06)"  # 06: closed by both, only remembered
    return re.search(here, known) is not None
