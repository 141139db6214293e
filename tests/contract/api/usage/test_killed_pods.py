"""Pods as processes that are killed while they stream answers that no log has: none is lost, and none counts twice."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import Stream
from openai.types.chat import ChatCompletionChunk

from harness.clients.sdk import ask
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.polling import eventually, remains

STREAMS = 6
WORDS = 60
"""That each client reads before the kill, 50 a second."""
LOST = 55
"""Words of one look to the next."""


@pytest.fixture
def pods(tmp_path: Path, redis_url: str) -> Iterator[list[ApiProcess]]:
    (tmp_path / "redis").write_text(redis_url)
    config = scripted("endless", "count").model_copy(update={"redis_url_file": str(tmp_path / "redis")})
    with ExitStack() as stack:
        yield [stack.enter_context(api_process(tmp_path, config)) for _ in range(2)]


def used(pod: ApiProcess) -> dict[str, Any]:
    found: dict[str, Any] = fetch(f"{pod.url}/api/v1/usage").json["total"]
    return found


def read(stream: Stream[ChatCompletionChunk], words: int) -> int:
    """Read so many words, and return their number."""
    for number, _ in enumerate(stream):
        if number == words:
            break
    return words


def test_answers_of_a_killed_pod_are_counted_once_up_to_the_last_look(pods: list[ApiProcess]) -> None:
    victim, other = pods
    for pod in pods:
        list(ask(pod, "count"))
    streams = [ask(victim, "endless") for _ in range(STREAMS)]
    seen = sum(read(stream, WORDS) for stream in streams)
    victim.program.kill()
    eventually(lambda: used(other)["requests"] == STREAMS + 2)
    found = used(other)
    assert found["estimated_requests"] == STREAMS
    assert found["output_tokens"] - 10 >= seen - LOST * STREAMS
    remains(lambda: used(other) == found, seconds=1)
