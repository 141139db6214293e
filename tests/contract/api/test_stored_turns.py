"""What a stored response takes of Redis: few commands, however long the answer is."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from redis import Redis

from chatfleet_api.runs.supervisor import HEARTBEAT_SECONDS
from chatfleet_contract.runtime import RuntimeConfig
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.redis.server import redis_server

TURNS = 40
WORDS = 400
"""Of an answer: many batches of the scripted provider."""
MOST_SCRIPTS = 7
"""Those that read the chain, the begin of the run, the appends of the turn and of its answer."""
MOST_ENTRIES = 4
"""Of the log, from begin to end: the slower the machine, the fewer words are gathered to one."""


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiProcess, Redis]]:
    folder: Path = tmp_path_factory.mktemp("stored")
    with redis_server(folder) as url:
        (folder / "url").write_text(url)
        given = scripted("count")
        model = given.models[0].model_copy(update={"model": f"count-{WORDS}"})
        changed = {"models": (model,), "redis_url_file": str(folder / "url")}
        config = RuntimeConfig.model_validate(given.model_dump() | changed)
        with api_process(folder, config) as api, Redis.from_url(url) as server:
            yield api, server


def commands(server: Redis) -> dict[str, int]:
    """Return how often each command was called since the last reset."""
    return {name.removeprefix("cmdstat_"): of["calls"] for name, of in server.info("commandstats").items()}


def test_a_turn_is_few_commands_whatever_its_length(pod: tuple[ApiProcess, Redis]) -> None:
    api, server = pod
    previous = fetch(f"{api.url}/v1/responses", {"model": "count", "input": "Hi"}).json["id"]
    server.config_resetstat()
    began = monotonic()
    for _ in range(TURNS):
        body = {"model": "count", "input": "Go on", "previous_response_id": previous}
        answer = fetch(f"{api.url}/v1/responses", body)
        previous = answer.json["id"]
        assert answer.json["output"][0]["content"][0]["text"].endswith(f" {WORDS}")
    found = commands(server)
    heartbeats = (monotonic() - began) / HEARTBEAT_SECONDS + 1
    assert found["eval"] <= TURNS * MOST_SCRIPTS + found["xadd"] + heartbeats, found
    assert found["sadd"] <= TURNS, "a run is entered once"
    assert found["xadd"] <= MOST_ENTRIES * TURNS, "words gather to entries"
    assert found["rpush"] == 2 * TURNS, "the turn and its answer"
