"""Answers that no log has, of pods that die in the midst of them: each is counted once, as far as it had come."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from uuid_utils import uuid7

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.policies.instrumented import Instrumented, ModelLabels
from chatfleet_api.providers.provider import Finish
from chatfleet_api.redis.connect import Command
from chatfleet_api.runs.run import Run
from chatfleet_api.usage.ledger_script import SETTLE, SWEEP, open_key
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.record import Charge
from chatfleet_api.usage.redis_ledger import RedisLedger
from chatfleet_api.usage.sweep import Sweeper
from chatfleet_contract.metrics import COST_USD_TOTAL, TENANT_TOKENS_TOTAL
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.pods.fleet_pod import FleetPod, acquainted, open_pod
from harness.pods.live import fixed
from harness.pods.runs import TENANT, FakeProvider, collect, text
from harness.polling import eventually_async
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

pytestmark = pytest.mark.lasts(25)

PRICING = Pricing(input_per_million_tokens="1", output_per_million_tokens="2")
PRICES = PriceBook.of(
    RuntimeConfig(
        deployment="chat",
        namespace="tests",
        providers=(RuntimeProvider(name="p", type=ProviderType.SCRIPTED),),
        models=(Model(name="m", provider="p", model="m-2026", pricing=PRICING),),
    )
)
REQUEST = ChatRequest("m", (Message("user", "hi there"),))
USED = Usage(input_tokens=1000, output_tokens=500)


class Upstream(FakeProvider):
    """Writes two words, and no more."""

    def __init__(self) -> None:
        super().__init__(text("one "), text("two "), 60)

    def finish_at_once(self) -> None:
        self.steps = (text("four"), [Finish("stop", USED)])


def measured(upstream: FakeProvider) -> Instrumented:
    return Instrumented(upstream, ModelLabels("p", "m", "m-2026"), meter=Meter("tests"), clock=time.monotonic)


async def opened(stack: AsyncExitStack, url: str, *upstreams: FakeProvider) -> list[FleetPod]:
    name = str(uuid7())
    pods = [
        await open_pod(stack, url, measured(upstream), fleet=name, capacity=500, prices=PRICES)
        for upstream in upstreams
    ]
    await acquainted(*pods)
    return pods


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def anywhere(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[list[FleetPod]]:
    async with AsyncExitStack() as stack:
        yield await opened(stack, topologies(request.param), Upstream(), Upstream())


@pytest.fixture
async def pair(topologies: Topologies) -> AsyncIterator[list[FleetPod]]:
    async with AsyncExitStack() as stack:
        yield await opened(
            stack, topologies("single"), FakeProvider(text("four" * 5), 4.0, [Finish("stop", USED)]), Upstream()
        )


async def begin(pod: FleetPod, user: str = "ann") -> Run:
    run = await pod.chat.completions.start(Principal(TENANT, subject="key:k", user=user), REQUEST)
    await pod_has_written(pod)
    return run


async def open_answers(pod: FleetPod, seen_by: FleetPod) -> bool:
    key = open_key(seen_by.redis_client, pod.ledger.process)
    return bool(await seen_by.redis_client.call("EXISTS", key))


async def pod_has_written(pod: FleetPod) -> None:
    await eventually_async(lambda: open_answers(pod, pod))


async def sums(ledger: RedisLedger) -> Counter[str]:
    found = Counter[str]()
    [rows] = await ledger.days(TENANT, [datetime.now(UTC).date().isoformat()])
    for row, counters in rows.items():
        assert row[:4] == ("p", "m", "m-2026", "key:k")
        found.update(counters)
    return found


async def counted(ledger: RedisLedger, answers: int) -> Counter[str]:
    async def are_counted() -> bool:
        return (await sums(ledger))["requests"] >= answers

    await eventually_async(are_counted)
    return await sums(ledger)


def metered(pod: FleetPod, name: str) -> float:
    """Return a metric of the model, and of the tenant, in this pod."""
    labels = {"provider": "p", "model": "m"}.items(), {"tenant": TENANT}.items()
    families = text_string_to_metric_families(pod.meter.exposition().decode())
    found = [each for family in families for each in family.samples if each.name == name]
    assert all(any(known <= each.labels.items() for known in labels) for each in found)
    return sum(each.value for each in found)


async def test_what_a_pod_that_died_had_written_is_counted_as_an_estimate(anywhere: list[FleetPod]) -> None:
    dying, other = anywhere
    runs = [await begin(dying, user) for user in ("ann", "bob")]
    await eventually_async(lambda: _written(dying) == 2)
    dying.redis.whole = False
    found = await counted(other.ledger, 2)
    tokens = {"input_tokens": 4, "output_tokens": 4}
    assert found == {"requests": 2, **tokens, "estimated": 2, "priced": 2, "cost": 12_000_000}
    assert not await open_answers(dying, other)
    await eventually_async(lambda: metered(other, COST_USD_TOTAL) == pytest.approx(12e-6))
    assert metered(other, TENANT_TOKENS_TOTAL) == 8
    for run in runs:
        run.cancel()


def _written(pod: FleetPod) -> int:
    entries: Any = pod.ledger._open._entries  # noqa: SLF001  # what it has sent
    return sum(entry.written is not None for entry in entries.values())


async def test_an_answer_that_goes_on_after_its_pod_was_taken_for_dead_counts_once_and_in_whole(
    pair: list[FleetPod],
) -> None:
    zombie, other = pair
    run = await begin(zombie)
    zombie.redis.whole = False
    await counted(other.ledger, 1)
    zombie.redis.whole = True
    await collect(run.read())

    async def is_corrected() -> bool:
        return (await sums(other.ledger))["estimated"] == 0

    await eventually_async(is_corrected)
    found = {name: count for name, count in (await sums(other.ledger)).items() if count}
    assert found == {"requests": 1, "input_tokens": 1000, "output_tokens": 500, "priced": 1, "cost": 2_000_000_000}


async def test_a_sweep_that_comes_twice_counts_once(pair: list[FleetPod], monkeypatch: pytest.MonkeyPatch) -> None:
    dying, other = pair
    sent, call = list[Command](), other.redis_client.call

    async def recorded(*command: str | bytes | int) -> object:
        if command[1] == SWEEP:
            sent.append(command)
            await call(*command)  # as after a lost reply
        return await call(*command)

    monkeypatch.setattr(other.redis_client, "call", recorded)
    await begin(dying)
    dying.redis.whole = False
    cost = (await counted(other.ledger, 1))["cost"]
    await eventually_async(lambda: metered(other, COST_USD_TOTAL) == pytest.approx(cost / 1e12))
    assert sent
    assert (await sums(other.ledger))["requests"] == 1


async def test_of_pods_that_sweep_at_once_one_counts(pair: list[FleetPod]) -> None:
    dying, other = pair
    await begin(dying)
    dying.redis.whole = False
    meters = [Counter[str]() for _ in range(3)]

    def sweeper(number: int) -> Sweeper:
        def charged(tenant: str, charge: Charge) -> None:
            meters[number][f"{tenant} {charge.provider} {charge.model}"] += charge.usage.output_tokens

        return Sweeper(other.redis_client, f"pod-{number}", fixed(PRICES), lambda: datetime.now(UTC), charged)

    await asyncio.gather(*(sweeper(number).sweep(dying.ledger.process) for number in range(3)))
    assert sum(meters, Counter()) == {f"{TENANT} p m": (await sums(other.ledger))["output_tokens"]}
    assert metered(other, COST_USD_TOTAL) == 0


async def test_short_answers_are_written_once_and_long_ones_not_with_each_token(
    pair: list[FleetPod], monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = pair[1]
    sent, call = list[Command](), pod.redis_client.call

    def recorded(*command: str | bytes | int) -> Awaitable[object]:
        if command[1] == SETTLE:
            sent.append(command)
        return call(*command)

    monkeypatch.setattr(pod.redis_client, "call", recorded)
    provider: Any = pod.chat.catalogue().provider("m")
    provider._inner.finish_at_once()  # noqa: SLF001
    run = await pod.chat.completions.start(Principal(TENANT, subject="key:k"), REQUEST)
    await collect(run.read())
    await counted(pod.ledger, 1)
    assert len(sent) == 1
    provider._inner.steps = (*[step for _ in range(100) for step in (text("four"), 0.01)], [Finish("stop", USED)])  # noqa: SLF001
    run = await pod.chat.completions.start(Principal(TENANT, subject="key:k"), REQUEST)
    await collect(run.read())
    await counted(pod.ledger, 2)
    assert len(sent) <= 1 + 4
    assert not await open_answers(pod, pod)
    assert (await sums(pod.ledger))["requests"] == 2
