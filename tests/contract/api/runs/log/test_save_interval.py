"""How much of an answer a crash can lose: never more than `conversations.saveIntervalMilliseconds` of it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from chatfleet_api.pod.services import open_services
from chatfleet_api.pod.settings import Settings
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec import Conversations
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.clients.reader import begin
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.polling import eventually, eventually_async
from harness.upstream.process import scripted_upstream
from harness.upstream.script import Script

TOKENS = 2000
GAP = 0.01
ANSWERS = 3


@pytest.mark.feature(38)
@pytest.mark.parametrize(("milliseconds", "between"), [(10, 0.005), (20, 0.01), (50, 0.015), (10_000, 0.015)])
async def test_the_log_is_written_so_often_that_the_save_interval_holds(
    tmp_path: Path, redis_url: str, milliseconds: int, between: float
) -> None:
    (tmp_path / "redis").write_text(redis_url)
    plain = scripted().model_copy(update={"redis_url_file": str(tmp_path / "redis")})
    changed = plain.model_copy(update={"conversations": Conversations(save_interval_milliseconds=milliseconds)})
    file = tmp_path / "runtime.json"
    file.write_text(plain.render())
    async with open_services(Settings(config_file=file), plain) as services:
        log: Any = services.log
        assert log.writer.flush_seconds == 0.015
        file.write_text(changed.render())
        await eventually_async(lambda: services.configuration.current == changed)
        assert log.writer.flush_seconds == between


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    with scripted_upstream(tmp_path) as upstream:
        yield f"{upstream.url}/v1"


@pytest.fixture
def pods(tmp_path: Path, redis_url: str, upstream: str) -> Iterator[list[ApiProcess]]:
    """One to die, and one to live."""
    (tmp_path / "redis").write_text(redis_url)
    config = RuntimeConfig(
        deployment="support",
        namespace="shop",
        providers=(RuntimeProvider(name="up", type=ProviderType.OPENAI_COMPATIBLE, base_url=upstream),),
        models=(Model(name="m", provider="up", model="m"),),
        redis_url_file=str(tmp_path / "redis"),
        conversations=Conversations(save_interval_milliseconds=50),
        egress=LOOPBACK_EGRESS,
    )
    with api_process(tmp_path, config) as first, api_process(tmp_path, config) as second:
        yield [first, second]


@pytest.mark.feature(38)
@pytest.mark.timed
def test_what_a_killed_pod_loses_is_less_than_the_save_interval_of_what_the_upstream_had_sent(
    pods: list[ApiProcess], upstream: str
) -> None:
    victim, successor = pods
    scripts = [Script(f"answer-{number}", TOKENS, gap=GAP) for number in range(ANSWERS)]
    conversations = [begin(victim) for _ in scripts]
    for script, conversation in zip(scripts, conversations, strict=True):
        said = {"content": script.question, "stream": True}
        Thread(target=_ask, args=(f"{victim.url}{conversation}/messages", said), daemon=True).start()
    eventually(lambda: all(_call(upstream, script).get("tokens", 0) > 150 for script in scripts))
    victim.program.kill()
    for script, conversation in zip(scripts, conversations, strict=True):
        eventually(partial(_interrupted, successor, conversation))
        kept = _last(successor, conversation)["content"].count(script.key)
        call = _call(upstream, script)
        assert call["ending"] == "closed"
        assert kept > 50
        assert (call["tokens"] - kept) * GAP <= 0.05, (call["tokens"], kept)


def _call(upstream: str, script: Script) -> dict[str, Any]:
    """Return what the upstream knows of the one request with a script."""
    calls: list[dict[str, Any]] = fetch(f"{upstream.removesuffix('/v1')}/ledger", [script.key]).json[script.key]
    (call,) = calls or [{}]
    return call


def _ask(url: str, said: object) -> None:
    with suppress(OSError, HTTPException):  # the pod dies
        fetch(url, said)


def _interrupted(pod: ApiProcess, conversation: str) -> bool:
    return bool(_last(pod, conversation)["status"] == "interrupted")


def _last(pod: ApiProcess, conversation: str) -> Any:  # noqa: ANN401  # JSON
    return json.loads(fetch(f"{pod.url}{conversation}/messages").body)["messages"][-1]
