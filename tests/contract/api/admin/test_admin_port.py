"""The admin port as a process has it: open while an administrator is named, and about all pods of a fleet."""

from pathlib import Path

import pytest

from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec.administrators import Administrator
from harness.clients.sdk import HI
from harness.net import LOOPBACK, free_port
from harness.pods.administered import ADMINISTRATOR, AS_OPS, AS_WEB, secrets
from harness.pods.api_process import Answer, api_process, fetch, scripted
from harness.polling import eventually


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


def test_runs_of_other_pods_are_listed_and_cancelled(tmp_path: Path, redis_url: str) -> None:
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


@pytest.mark.parametrize("path", ["/admin/runs", "/admin/configuration"])
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
        assert answer.json.get("whole") is (False if path == "/admin/runs" else None)
