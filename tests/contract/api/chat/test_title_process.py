"""Pods as real processes on one Redis, whose conversations get titles and have a limit of messages."""

from pathlib import Path

import pytest

from chatfleet_contract.runtime import RuntimeConfig
from harness.clients.reader import Reader, begin
from harness.pods.api_process import api_process, fetch, scripted
from harness.polling import eventually

TITLE = "1 2 3 4 5"
"""What the model `count` recites."""


@pytest.fixture
def config(tmp_path: Path, redis_url: str) -> RuntimeConfig:
    (tmp_path / "redis").write_text(redis_url)
    plain = scripted("slow", "count").model_dump() | {"redis_url_file": str(tmp_path / "redis")}
    plain["models"] = [model | {"continuation": "prefill"} for model in plain["models"]]
    plain["conversations"] |= {"titles": {"model": "count"}, "max_messages": 2}
    return RuntimeConfig.model_validate(plain)


def test_the_pod_that_ends_an_answer_makes_the_title_and_a_limit_applies_without_a_restart(
    tmp_path: Path, config: RuntimeConfig
) -> None:
    """The pod that began the answer wakes when another one has ended it: it must not make a second title."""
    with api_process(tmp_path, config) as first, api_process(tmp_path, config) as second:
        reader, conversation = Reader(), begin(first)
        reader.say(first, conversation, tokens=10)
        first.program.pause()
        try:
            reader.join(second, conversation)
        finally:
            first.program.resume()
        assert reader.ending
        assert reader.ending[0] == "complete"
        eventually(lambda: fetch(first.url + conversation).json["title"] == TITLE)
        eventually(lambda: "was taken over by another pod" in first.log.read_text())
        eventually(lambda: first.health("/health").json["activeStreams"] == 0)
        usage = f"/api/v1/usage?conversation_id={conversation.rpartition('/')[2]}"
        eventually(lambda: fetch(second.url + usage).json["total"]["requests"] == 2)

        full = fetch(f"{first.url}{conversation}/messages", {"content": "more"})
        assert (full.status, full.json["code"]) == (400, "conversation_full")
        raised = config.conversations.model_copy(update={"max_messages": 4})
        (tmp_path / "runtime.json").write_text(config.model_copy(update={"conversations": raised}).render())
        eventually(lambda: fetch(f"{first.url}{conversation}/messages", {"content": "more"}).status == 200)
        eventually(lambda: fetch(second.url + usage).json["total"]["requests"] == 3)
        assert fetch(second.url + conversation).json["title"] == TITLE
