"""How a pod starts, what it prints when it cannot, and how it takes a new configuration: as a process."""

import re
import socket
import subprocess
from pathlib import Path

import pytest
import redis

from chatfleet_contract.spec import Conversations
from harness.clients.sdk import HI, ask
from harness.net import free_port
from harness.pods.api_process import api_process, fetch, new_api_process, run_api, scripted
from harness.polling import eventually

GONE = -2
"""What Redis answers for the lifetime of a key that has expired since it was found."""


def test_the_first_look_needs_nothing_and_says_what_to_try(tmp_path: Path) -> None:
    with new_api_process(tmp_path) as running:
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


@pytest.mark.feature(26)
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


def test_a_new_configuration_is_served_without_a_restart(tmp_path: Path) -> None:
    before, after = scripted("echo"), scripted("echo", "count", max_streams_per_pod=7)
    with api_process(tmp_path, before) as api:
        file = tmp_path / "runtime.json"
        with ask(api, "echo") as stream:
            file.write_text(after.render())
            eventually(lambda: api.health("/health").json["config"] == after.digest())
            assert [chunk.choices[0].delta.content for chunk in stream][1] == "Hi"
        answer = fetch(f"{api.url}/v1/models")
        assert answer.headers["x-chatfleet-config"] == after.digest()
        assert [model["id"] for model in answer.json["data"]] == ["echo", "count"]
        eventually(lambda: api.health("/health").json["maxStreams"] == 7)
        file.write_text(after.render().replace("scripted", "nobody", 1))
        eventually(lambda: "configError" in api.health("/health").json)
        assert api.health("/ready").status == 200
        assert fetch(f"{api.url}/v1/models/count").status == 200
        file.write_text(after.render())
        eventually(lambda: "configError" not in api.health("/health").json)


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
        eventually(lambda: one.health("/health").json["redis"] == {"state": "up"})


def test_a_changed_time_to_live_holds_for_what_is_written_from_then_on(tmp_path: Path, redis_url: str) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(redis_url)
    before = scripted("echo").model_copy(update={"redis_url_file": str(url_file)})
    after = before.model_copy(update={"conversations": Conversations(ttl_seconds=60)})
    with api_process(tmp_path, before) as api, redis.Redis.from_url(redis_url) as client:
        fetch(f"{api.url}/api/v1/conversations", {})
        assert all(client.ttl(key) > 1000 for key in client.scan_iter("*:conversation"))
        (tmp_path / "runtime.json").write_text(after.render())
        eventually(lambda: api.health("/health").json["config"] == after.digest())
        client.flushall()
        fetch(f"{api.url}/api/v1/conversations", {})
        lives = {key: client.pttl(key) for key in client.scan_iter()}
        assert any(key.endswith(b":conversation") for key in lives)
        assert all(0 <= milliseconds <= 60_000 for milliseconds in lives.values() if milliseconds != GONE)


@pytest.mark.feature(25)
def test_a_pod_starts_and_answers_while_redis_is_away(tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(f"redis://127.0.0.1:{free_port()}/0")
    with api_process(tmp_path, scripted().model_copy(update={"redis_url_file": str(url_file)})) as api:
        assert api.health("/ready").status == 200
        assert fetch(f"{api.url}/v1/chat/completions", {"model": "echo", "messages": [HI]}).status == 200
        refused = fetch(f"{api.url}/api/v1/conversations", {})
        assert refused.status == 503
        assert refused.headers["retry-after"]
        eventually(lambda: api.health("/health").json["redis"]["state"] == "down")
