"""The admin port as a process has it: open while an administrator is named, and about all pods of a fleet."""

import json
import queue
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
import redis

from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec.administrators import Administrator
from harness.clients.sdk import HI
from harness.net import LOOPBACK, free_port
from harness.pods.administered import ADMINISTRATOR, AS_OPS, AS_WEB, secrets
from harness.pods.api_process import Answer, api_process, fetch, scripted
from harness.polling import eventually, remains


def administered(config: RuntimeConfig, folder: Path, *named: Administrator) -> RuntimeConfig:
    access = config.access.model_copy(update={"anonymous": False, "api_keys": secrets(folder), "admin": named})
    return config.model_copy(update={"access": access})


class Port:
    """A port that an admin server may have."""

    def __init__(self) -> None:
        self.number = free_port()

    @property
    def setting(self) -> str:
        return str(self.number)

    def ask(self, path: str, body: object = None) -> Answer:
        return fetch(f"http://{LOOPBACK}:{self.number}{path}", body, **AS_OPS)

    @contextmanager
    def tap(self, path: str) -> Iterator[Callable[[], list[str]]]:
        """Read a stream in the background; yields what returns the lines that have come since the last call."""
        request = urllib.request.Request(f"http://{LOOPBACK}:{self.number}{path}", headers=AS_OPS)  # http
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  # http

            def read() -> None:
                with suppress(OSError, ValueError, AttributeError):  # closed by the end of the block
                    for line in response:
                        lines.put(line.decode().rstrip())

            reader = Thread(target=read, daemon=True)
            reader.start()
            yield lambda: [lines.get() for _ in range(lines.qsize())]

    def open(self) -> bool:
        try:
            return self.ask("/admin/runs").status == 200
        except OSError:
            return False


def test_the_port_is_open_while_an_administrator_is_named(tmp_path: Path) -> None:
    nobody, ops = (administered(scripted("echo"), tmp_path, *named) for named in ((), (ADMINISTRATOR,)))
    port = Port()
    with api_process(tmp_path, nobody, CHATFLEET_ADMIN_PORT=port.setting) as api:
        file = tmp_path / "runtime.json"
        assert not port.open()
        file.write_text(ops.render())
        eventually(port.open)
        assert fetch(f"http://{LOOPBACK}:{port.number}/admin/runs").status == 401
        assert fetch(f"{api.url}/admin/runs", **AS_OPS).status == 404
        assert api.health("/admin/runs").status == 404
        file.write_text(nobody.render())
        eventually(lambda: not port.open())
        asked = {"model": "echo", "messages": [HI]}
        assert fetch(f"{api.url}/v1/chat/completions", asked, **AS_WEB).status == 200
        file.write_text(ops.render())
        eventually(port.open)
    assert not port.open()


def test_runs_and_keys_of_other_pods_are_listed_and_runs_cancelled(tmp_path: Path, redis_url: str) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(redis_url)
    config = administered(scripted("endless"), tmp_path, ADMINISTRATOR)
    config = config.model_copy(update={"redis_url_file": str(url_file)})
    port = Port()
    with (
        api_process(tmp_path, config, CHATFLEET_POD_NAME="one", CHATFLEET_ADMIN_PORT=Port().setting) as one,
        api_process(tmp_path, config, CHATFLEET_POD_NAME="other", CHATFLEET_ADMIN_PORT=port.setting),
    ):
        eventually(port.open)
        begun = {"model": "endless", "input": "Hi", "background": True}
        response = fetch(f"{one.url}/v1/responses", begun, **AS_WEB).json["id"]
        eventually(lambda: port.ask("/admin/runs?pod=one").json["total"] == 1)
        (run,) = port.ask("/admin/runs?tenant=shop").json["data"]
        assert (run["pod"], run["tenant"], run["retrievable"]) == ("one", "shop", True)
        assert run["id"].replace("-", "") in response
        assert port.ask("/admin/runs?tenant=ops").json["data"] == []

        assert port.ask(f"/admin/runs/{run['id']}/cancel", {}).status == 202
        eventually(lambda: port.ask("/admin/runs").json["total"] == 0)
        found = fetch(f"{one.url}/v1/responses/{response}", **AS_WEB).json
        assert found["status"] == "cancelled"

        def web() -> object:
            return next(key["last_used"] for key in port.ask("/admin/keys").json["data"] if key["key"] == "web")

        eventually(lambda: web() is not None)  # of a key that this pod has never seen


@pytest.mark.parametrize("path", ["/admin/runs", "/admin/keys", "/admin/configuration"])
def test_without_redis_at_hand_a_pod_shows_its_own(tmp_path: Path, path: str) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(f"redis://{LOOPBACK}:{free_port()}/0")
    config = administered(scripted("echo"), tmp_path, ADMINISTRATOR)
    port = Port()
    with api_process(
        tmp_path, config.model_copy(update={"redis_url_file": str(url_file)}), CHATFLEET_ADMIN_PORT=port.setting
    ):
        eventually(port.open)
        answer = port.ask(path)
        assert answer.status == 200
        assert answer.json.get("whole") is (None if path == "/admin/configuration" else False)


def test_a_tap_sees_all_pods_and_nothing_is_written_without_one(tmp_path: Path, redis_url: str) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(redis_url)
    config = administered(scripted("echo"), tmp_path, ADMINISTRATOR)
    config = config.model_copy(update={"redis_url_file": str(url_file)})
    port, question = Port(), {"model": "echo", "messages": [{"role": "user", "content": "canary"}]}
    with (
        api_process(tmp_path, config, CHATFLEET_POD_NAME="one", CHATFLEET_ADMIN_PORT=Port().setting) as one,
        api_process(tmp_path, config, CHATFLEET_POD_NAME="other", CHATFLEET_ADMIN_PORT=port.setting) as other,
        redis.Redis.from_url(redis_url) as server,
    ):
        eventually(port.open)
        pods = {"one": one, "other": other}

        def ask_all() -> None:
            for pod in pods.values():
                assert fetch(f"{pod.url}/v1/chat/completions", question, **AS_WEB).status == 200

        def written() -> list[bytes]:
            return [key for kind in ("tapped", "fleet-events") for key in server.scan_iter(f"*:{kind}")]

        ask_all()
        assert written() == []
        seen: list[str] = []
        with port.tap("/admin/events?tenant=shop&events=stream_complete") as lines:

            def has_seen_all() -> bool:
                ask_all()
                seen.extend(each for each in lines() if each.startswith("data: "))
                return all(f'"pod":"{name}"' in "".join(seen) for name in pods)

            eventually(has_seen_all)
        assert "canary" not in "".join(seen)
        runs = [json.loads(each.removeprefix("data: "))["run"] for each in seen]
        assert len(runs) == len(set(runs))
        eventually(lambda: not list(server.scan_iter("*:tapped")))
        (events,) = server.scan_iter("*:fleet-events")

        def is_silent() -> bool:
            length = server.xlen(events)
            ask_all()
            remains(lambda: server.xlen(events) == length, seconds=0.5, every=0.1)
            return True

        eventually(is_silent)
