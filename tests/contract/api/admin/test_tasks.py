"""Administrators see and cancel what any pod of a fleet does in the background."""

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import redis

from chatfleet_contract.spec.conversations import Titles
from contract.api.admin.test_admin_port import Port, administered
from harness.clients.sdk import HI
from harness.net import LOOPBACK
from harness.pods.administered import ADMINISTRATOR, AS_OPS, AS_WEB, OPS
from harness.pods.api_process import api_process, fetch, scripted
from harness.polling import eventually, remains

ROOT = Path(__file__).parents[4]
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def delete(port: Port, path: str) -> int:
    request = urllib.request.Request(f"http://{LOOPBACK}:{port.number}{path}", headers=AS_OPS, method="DELETE")  # http
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310  # http
        status: int = response.status
    return status


def test_tasks_of_another_pod_are_listed_and_cancelled(tmp_path: Path, redis_url: str) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(redis_url)
    config = administered(scripted("echo", "endless"), tmp_path, ADMINISTRATOR)
    conversations = config.conversations.model_copy(update={"titles": Titles(model="endless")})
    config = config.model_copy(update={"redis_url_file": str(url_file), "conversations": conversations})
    port = Port()
    with (
        api_process(tmp_path, config, CHATFLEET_POD_NAME="one", CHATFLEET_ADMIN_PORT=Port().setting) as one,
        api_process(tmp_path, config, CHATFLEET_POD_NAME="other", CHATFLEET_ADMIN_PORT=port.setting),
        redis.Redis.from_url(redis_url) as server,
    ):
        eventually(port.open)
        conversation = fetch(f"{one.url}/api/v1/conversations", {}, **AS_WEB).json["id"]
        path = f"{one.url}/api/v1/conversations/{conversation}/messages"
        assert fetch(path, {"content": HI["content"], "model": "echo"}, **AS_WEB).status == 200
        remains(lambda: not list(server.scan_iter("*:tasks*")), seconds=0.5, every=0.1)

        eventually(lambda: port.ask("/admin/tasks?kind=title").json["total"] == 1)
        found = port.ask("/admin/tasks?kind=title&limit=1").json
        (task,) = found["data"]
        assert (task["pod"], task["status"], found["whole"]) == ("one", "running", True)
        assert task["facts"] == {"tenant": "shop", "conversation": conversation}
        senders = port.ask("/admin/tasks?kind=webhooks").json["data"]
        assert {(sender["pod"], sender["status"]) for sender in senders} == {("one", "running"), ("other", "running")}

        assert delete(port, f"/admin/tasks/{task['id']}") == 202
        eventually(lambda: port.ask(f"/admin/tasks/{task['id']}").json["status"] == "cancelled")
        assert port.ask("/admin/runs").json["total"] == 0
        eventually(lambda: not list(server.scan_iter("*:tasks*")))


def test_the_example_of_the_page_runs_and_a_pod_without_redis_shows_its_own(tmp_path: Path) -> None:
    (example,) = EXAMPLE.findall((ROOT / "docs/operations/admin.md").read_text())
    port = Port()
    config = administered(scripted("echo"), tmp_path, ADMINISTRATOR)
    with api_process(tmp_path, config, CHATFLEET_POD_NAME="alone", CHATFLEET_ADMIN_PORT=port.setting):
        eventually(port.open)
        program = example.replace("http://localhost:8002", f"http://{LOOPBACK}:{port.number}")
        environment = {**os.environ, "ADMIN_KEY": OPS}
        done = subprocess.run(
            (sys.executable, "-c", program), capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert "alone configuration running" in done.stdout
        assert port.ask("/admin/tasks").json["whole"]
