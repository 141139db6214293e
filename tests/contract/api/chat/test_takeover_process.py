"""Pods as real processes on one Redis: killed, or stopped and woken, while somebody reads."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest

from chatfleet_contract.runtime import RuntimeConfig
from harness.clients.reader import Reader, begin
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.polling import eventually

RUN_TAKEOVER_DURATION_SECONDS = 3.0
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


def whole() -> str:
    return " ".join(str(number) for number in range(1, WORDS + 1))


def test_an_answer_goes_on_where_its_pod_was_killed(pods: Pods) -> None:
    reader, conversation = Reader(), begin(pods.first)
    reader.say(pods.first, conversation, tokens=10)
    pods.first.program.kill()
    killed = monotonic()
    reader.join(pods.second, conversation)
    assert monotonic() - killed < RUN_TAKEOVER_DURATION_SECONDS + WORDS / 20
    assert reader.saw_each_event_once()
    assert reader.text == whole()
    assert reader.ending
    assert reader.ending[0] == "complete"
    last = fetch(f"{pods.second.url}{conversation}/messages").json["messages"][-1]
    assert (last["content"], last["status"]) == (whole(), "complete")
    used = fetch(f"{pods.second.url}/api/v1/usage").json["total"]
    assert (used["requests"], used["estimated_requests"]) == (1, 1)
    assert used["output_tokens"] == last["usage"]["output_tokens"]


@pytest.mark.parametrize("pods", ["none"], indirect=True)
def test_an_answer_that_cannot_go_on_is_interrupted_and_what_was_seen_is_kept(pods: Pods) -> None:
    reader, conversation = Reader(), begin(pods.first)
    reader.say(pods.first, conversation, tokens=10)
    pods.first.program.kill()
    killed = monotonic()
    reader.join(pods.second, conversation)
    assert monotonic() - killed < RUN_TAKEOVER_DURATION_SECONDS
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
    pods.first.program.pause()
    try:
        reader.join(pods.second, conversation)
    finally:
        pods.first.program.resume()
    eventually(lambda: "was taken over by another pod" in pods.first.log.read_text())
    eventually(lambda: pods.first.health("/health").json["activeStreams"] == 0)
    late.join(pods.first, conversation)
    for each in (reader, late):
        assert each.saw_each_event_once()
        assert each.text == whole()
    kept = fetch(f"{pods.first.url}{conversation}/messages").json["messages"]
    assert [(message["content"], message["status"]) for message in kept] == [("hi", "complete"), (whole(), "complete")]
    assert pods.first.health("/health").json["activeStreams"] == 0
