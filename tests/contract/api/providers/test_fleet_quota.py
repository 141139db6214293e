"""The provider's quota is the fleet's: what one pod is answered, all keep to. Pods as processes, and a real Redis."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from chatfleet_api.providers.policies.quota import LEASE_SECONDS
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import Answer, ApiProcess, api_process, fetch
from harness.polling import eventually
from harness.redis.server import redis_server
from harness.upstream.ledger import Call
from harness.upstream.process import Upstream, scripted_upstream
from harness.upstream.script import Fault, Script

KEYS = count()
MODELS = ("long", "probed", "killed")
PAUSE = 0.8


class Pods(NamedTuple):
    first: ApiProcess
    second: ApiProcess
    upstream: Upstream

    @property
    def each(self) -> tuple[ApiProcess, ApiProcess]:
        return (self.first, self.second)


def config(folder: Path, redis_url: str, upstream: str) -> RuntimeConfig:
    (folder / "redis").write_text(redis_url)
    models = [Model(name=name, provider="up", model=name) for name in MODELS]
    patient = Model(name="helped", provider="up", model="long", fallbacks=["other"])
    return RuntimeConfig(
        deployment="support",
        namespace="shop",
        providers=(
            RuntimeProvider(
                name="up",
                type=ProviderType.OPENAI_COMPATIBLE,
                base_url=upstream,
                retries=Retries(max=3),
            ),
        ),
        models=(*models, patient, Model(name="other", provider="up", model="other")),
        redis_url_file=str(folder / "redis"),
        egress=LOOPBACK_EGRESS,
    )


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    """Two pods that all tests share; the last one kills one of them."""
    folder = tmp_path_factory.mktemp("quota")
    with redis_server(folder / "server") as url, scripted_upstream(folder) as upstream:
        served = config(folder, url, f"{upstream.url}/v1")
        with api_process(folder, served) as first, api_process(folder, served) as second:
            yield Pods(first, second, upstream)


def script(*faults: Fault, always: Fault | None = None) -> Script:
    return Script(f"q{next(KEYS)}", 2, faults=faults, always=always)


def limited(seconds: float) -> Fault:
    return Fault("status", status=429, retry_after=str(seconds))


def ask(pod: ApiProcess, model: str, asked: Script) -> Answer:
    return fetch(
        f"{pod.url}/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": asked.question}]}
    )


def calls(pods: Pods, *scripts: Script) -> list[Call]:
    """Return the calls of the upstream, in order."""
    found = asyncio.run(pods.upstream.ledger(scripts))
    return sorted((call for each in found.values() for call in each), key=lambda call: call.began)


def test_no_pod_asks_while_the_pause_lasts_and_a_fallback_answers_at_once(pods: Pods) -> None:
    first = ask(pods.first, "long", script(limited(90)))
    assert (first.status, first.headers["Retry-After"]) == (429, "90")

    def is_known() -> bool:
        return not calls(pods, probe := script()) and ask(pods.second, "long", probe).status == 429

    eventually(is_known)
    asked = [script() for _ in range(6)]
    for each in asked:
        answer = ask(pods.second, "long", each)
        assert answer.status == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 90
    assert not calls(pods, *asked)
    helped = script()
    answer = ask(pods.second, "helped", helped)
    assert (answer.status, answer.json["model"]) == (200, "helped")
    assert [call.model for call in calls(pods, helped)] == ["other"]


def test_the_fleet_makes_one_probe_after_each_pause_until_one_is_answered(pods: Pods) -> None:
    asked = [script(limited(PAUSE), limited(PAUSE)) for _ in range(4)]
    with ThreadPoolExecutor(len(asked)) as clients:
        askers = [clients.submit(ask, pods.each[n % 2], "probed", each) for n, each in enumerate(asked)]
        assert [each.result().status for each in askers] == [200] * len(asked)
    found = calls(pods, *asked)
    probes = [call for call in found if call.began > found[0].began + PAUSE]
    answered = next(n for n, call in enumerate(probes) if call.attempt == 2)
    assert answered >= 1
    assert all(after.began - before.began >= 0.95 * PAUSE for before, after in pairwise(probes[: answered + 1]))


def test_the_others_go_on_when_the_pod_of_the_probe_is_killed(pods: Pods) -> None:
    probe, heir = script(limited(PAUSE), Fault("headers")), script()
    with suppress(OSError), ThreadPoolExecutor(1) as clients:
        asker = clients.submit(ask, pods.first, "killed", probe)
        eventually(lambda: len(calls(pods, probe)) == 2)
        pods.first.program.kill()
        asker.result()
    assert ask(pods.second, "killed", heir).status == 200
    (_, hung), (call,) = calls(pods, probe), calls(pods, heir)
    assert call.began - hung.began >= 0.95 * LEASE_SECONDS
