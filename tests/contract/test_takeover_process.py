"""Pods as real processes on one Redis: killed, or stopped and woken, while somebody reads."""

import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import pytest

from chatfleet_contract.runtime import RuntimeConfig
from support.api_process import ApiProcess, api_process, fetch, scripted
from support.kube import eventually

TAKEOVER_SECONDS = 3.0
WORDS = 30
"""Of the model `slow`, 20 a second."""


class Pods(NamedTuple):
    first: ApiProcess
    second: ApiProcess


def config(folder: Path, redis_url: str, continuation: str) -> RuntimeConfig:
    (folder / "redis").write_text(redis_url)
    plain = scripted("slow").model_dump() | {"redis_url_file": str(folder / "redis")}
    plain["models"] = [model | {"continuation": continuation} for model in plain["models"]]
    return RuntimeConfig.model_validate(plain)


@pytest.fixture
def pods(tmp_path: Path, redis_url: str, request: pytest.FixtureRequest) -> Iterator[Pods]:
    """Two pods whose model goes on as the test's parameter says."""
    served = config(tmp_path, redis_url, getattr(request, "param", "prefill"))
    with api_process(tmp_path, served) as first, api_process(tmp_path, served) as second:
        yield Pods(first, second)


def begin(pod: ApiProcess) -> str:
    """Return the path of a new conversation."""
    made = fetch(f"{pod.url}/api/v1/conversations", {}).json
    return f"/api/v1/conversations/{made['id']}"


class Reader:
    """A client that reads events, and knows how far it came."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.text = ""
        self.ending: tuple[str, Any] | None = None

    def say(self, pod: ApiProcess, conversation: str, *, tokens: int | None = None) -> None:
        """Send a message, and read its answer, to its end or to so many tokens."""
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        self._read(pod, "POST", f"{conversation}/messages", json.dumps({"content": "hi"}), headers, tokens=tokens)

    def join(self, pod: ApiProcess, conversation: str) -> None:
        """Go on reading."""
        headers = {"Last-Event-ID": self.ids[-1]} if self.ids else {}
        self._read(pod, "GET", f"{conversation}/stream", None, headers, tokens=None)

    def _read(
        self, pod: ApiProcess, method: str, path: str, body: str | None, headers: dict[str, str], *, tokens: int | None
    ) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=15)
        connection.request(method, path, body, headers)
        with connection.getresponse() as response:
            assert response.status == 200, response.read()
            event: dict[str, str] = {}
            for line in response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    event[name] = value
                elif "data" in event:
                    self._take(event)
                    event = {}
                    if tokens is not None and len(self.ids) > tokens:
                        break
        connection.close()

    def _take(self, event: dict[str, str]) -> None:
        data = json.loads(event["data"])
        self.ids.append(event["id"])
        if event["event"] == "token":
            self.text += data["text"]
        elif event["event"] in ("complete", "error"):
            self.ending = event["event"], data

    def saw_each_event_once(self) -> bool:
        return [int(seen.rsplit("-", 1)[1]) for seen in self.ids] == list(range(1, len(self.ids) + 1))


def whole() -> str:
    return " ".join(str(number) for number in range(1, WORDS + 1))


def test_an_answer_goes_on_where_its_pod_was_killed(pods: Pods) -> None:
    reader, conversation = Reader(), begin(pods.first)
    reader.say(pods.first, conversation, tokens=10)
    pods.first.process.kill()
    killed = monotonic()
    reader.join(pods.second, conversation)
    assert monotonic() - killed < TAKEOVER_SECONDS + WORDS / 20
    assert reader.saw_each_event_once()
    assert reader.text == whole()
    assert reader.ending
    assert reader.ending[0] == "complete"
    last = fetch(f"{pods.second.url}{conversation}/messages").json["messages"][-1]
    assert (last["content"], last["status"]) == (whole(), "complete")


@pytest.mark.parametrize("pods", ["none"], indirect=True)
def test_an_answer_that_cannot_go_on_is_interrupted_and_what_was_seen_is_kept(pods: Pods) -> None:
    reader, conversation = Reader(), begin(pods.first)
    reader.say(pods.first, conversation, tokens=10)
    pods.first.process.kill()
    killed = monotonic()
    reader.join(pods.second, conversation)
    assert monotonic() - killed < TAKEOVER_SECONDS
    assert reader.saw_each_event_once()
    assert reader.ending
    assert reader.ending[0] == "error"
    assert (reader.ending[1]["code"], reader.ending[1]["partial_saved"]) == ("interrupted", True)
    last = fetch(f"{pods.second.url}{conversation}/messages").json["messages"][-1]
    assert last["status"] == "interrupted"
    assert last["content"] == reader.text


def test_a_pod_that_was_stopped_and_wakes_adds_nothing(pods: Pods) -> None:
    reader, late, conversation = Reader(), Reader(), begin(pods.first)
    reader.say(pods.first, conversation, tokens=10)
    pods.first.process.send_signal(signal.SIGSTOP)
    try:
        reader.join(pods.second, conversation)
    finally:
        pods.first.process.send_signal(signal.SIGCONT)
    eventually(lambda: "was taken over by another pod" in pods.first.log.read_text(), seconds=5)
    sleep(0.5)
    late.join(pods.first, conversation)
    for each in (reader, late):
        assert each.saw_each_event_once()
        assert each.text == whole()
    kept = fetch(f"{pods.first.url}{conversation}/messages").json["messages"]
    assert [(message["content"], message["status"]) for message in kept] == [("hi", "complete"), (whole(), "complete")]
    assert pods.first.health("/health").json["activeStreams"] == 0
