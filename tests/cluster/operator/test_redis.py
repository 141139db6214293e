"""The managed Redis: its command and probes, run with this machine's real Redis."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatfleet_operator.children import build, redis
from chatfleet_operator.model.values import LiveState, Manifest
from harness.kube.operated_cluster import DEFAULTS, resource
from harness.net import free_port
from harness.polling import eventually

PASSWORD = "-dr4wn_once"


@pytest.fixture
def port() -> int:
    return free_port()


def container() -> Manifest:
    it = resource()
    assert it.spec
    made = build(it, it.spec, DEFAULTS, live=LiveState(secret_uid="secret")).children
    found: Manifest = next(each for each in made if each["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    return found["containers"][0]  # type: ignore[no-any-return]


def here(text: str, folder: Path, port: int) -> str:
    """Return a command of the pod with this machine's folders and port."""
    moved = text.replace(redis.PASSWORD_DIR, str(folder)).replace(redis.DATA_DIR, str(folder))
    return moved.replace("redis-server -", f"redis-server - --port {port}").replace("redis-cli", f"redis-cli -p {port}")


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    (tmp_path / "password").write_text(PASSWORD)
    command = [here(word, tmp_path, port) for word in container()["command"]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def probe(kind: str, folder: Path, port: int) -> bool:
    command = container()[kind]["exec"]["command"]
    return subprocess.run([here(word, folder, port) for word in command], check=False, timeout=5).returncode == 0


def test_it_asks_for_the_password_that_no_process_list_shows_and_stops_when_told(
    server: "subprocess.Popen[bytes]", tmp_path: Path, port: int
) -> None:
    eventually(lambda: probe("readinessProbe", tmp_path, port))
    listed = Path(f"/proc/{server.pid}/cmdline").read_bytes()
    unknown = subprocess.run(("redis-cli", "-p", str(port), "get", "x"), capture_output=True, check=False)

    assert listed.startswith(b"redis-server")
    assert PASSWORD.encode() not in listed
    assert b"NOAUTH" in unknown.stdout + unknown.stderr
    assert probe("livenessProbe", tmp_path, port)
    assert (tmp_path / "appendonlydir").is_dir()
    started = time.monotonic()
    server.terminate()
    assert server.wait(5) == 0
    assert time.monotonic() - started < 5


def test_its_probes_fail_when_nobody_answers(tmp_path: Path, port: int) -> None:
    (tmp_path / "password").write_text(PASSWORD)

    assert not probe("livenessProbe", tmp_path, port)
    assert not probe("readinessProbe", tmp_path, port)
