"""What answers have used is counted once: whole, cut, cancelled, taken over, and in all sums to the last digit."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from typing_extensions import override
from uuid_utils import uuid7

from chatfleet_api.chat.new_conversation import NewConversation
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.policies.instrumented import Instrumented, ModelLabels
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.redis.connect import Command
from chatfleet_api.runs.keys import record_key
from chatfleet_api.runs.log.append_script import APPEND
from chatfleet_api.usage.ledger_script import SETTLE
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.rates import PICODOLLAR
from chatfleet_api.usage.redis_ledger import RedisLedger
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.pods.fleet_pod import FleetPod, Following, acquainted, open_pod
from harness.pods.runs import TENANT, FakeProvider, collect, text
from harness.polling import eventually_async
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

PRICING = Pricing(
    input_per_million_tokens="0.123456789",
    output_per_million_tokens="1.7",
    cache_read_per_million_tokens="0.0123",
)
CONFIG = RuntimeConfig(
    deployment="chat",
    namespace="tests",
    providers=(RuntimeProvider(name="p", type=ProviderType.SCRIPTED),),
    models=(Model(name="m", provider="p", model="m-2026", pricing=PRICING),),
)
PRICES = PriceBook.of(CONFIG)
UPSTREAM = Random(7)  # noqa: S311  # the same numbers each time


class Upstream(FakeProvider):
    """Answers with numbers of its own, and keeps an account of them."""

    def __init__(self, seconds: float = 0) -> None:
        super().__init__()
        self.seconds = seconds
        self.begun = 0
        self.billed: list[Usage] = []

    @override
    async def _play(self, request: ChatRequest) -> AsyncGenerator[Sequence[StreamItem], None]:
        self.asked.append(request)
        given, made, cached = (UPSTREAM.randrange(*limits) for limits in ((50, 9999), (1, 999), (0, 50)))
        usage = Usage(given, made, cache_read_tokens=cached)
        self.begun += 1
        for word in ("one ", "two ", "three "):
            yield text(word)
            await asyncio.sleep(self.seconds)
        self.billed.append(usage)
        yield [Finish("stop", usage)]


def measured(upstream: FakeProvider) -> Instrumented:
    return Instrumented(upstream, ModelLabels("p", "m", "m-2026"), meter=Meter("tests"), clock=time.monotonic)


def price(usage: Usage) -> Decimal:
    """Return the cost, reckoned apart from the code."""
    cents = Decimal("0.123456789") * (usage.input_tokens - usage.cache_read_tokens)
    cents += Decimal("0.0123") * usage.cache_read_tokens + Decimal("1.7") * usage.output_tokens
    return (cents / 1_000_000).quantize(PICODOLLAR)


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def pods(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[list[FleetPod]]:
    async with AsyncExitStack() as stack:
        yield await opened(stack, topologies(request.param), Upstream(), Upstream())


async def opened(stack: AsyncExitStack, url: str, *upstreams: FakeProvider) -> list[FleetPod]:
    name = str(uuid7())
    pods = [
        await open_pod(stack, url, measured(upstream), "prefill", fleet=name, capacity=500, prices=PRICES)
        for upstream in upstreams
    ]
    await acquainted(*pods)
    return pods


def today() -> str:
    return datetime.now(UTC).date().isoformat()


async def sums(ledger: RedisLedger, tenant: str = TENANT) -> dict[str, Counter[str]]:
    """Return the counters by user, and those of all users."""
    found: dict[str, Counter[str]] = {"": Counter()}
    [rows] = await ledger.days(tenant, [today()])
    for row, counters in rows.items():
        assert row[:3] == ("p", "m", "m-2026")
        found.setdefault(row.user, Counter()).update(counters)
        found[""].update(counters)
    return found


async def counted(ledger: RedisLedger, answers: int) -> dict[str, Counter[str]]:
    """Return the sums when they have so many answers, and no later write changes them."""
    found: dict[str, Counter[str]] = {}

    async def are_counted() -> bool:
        found.update(await sums(ledger))
        return found[""]["requests"] >= answers

    await eventually_async(are_counted)
    return await sums(ledger)


async def ask(pod: FleetPod, user: str) -> tuple[str, str]:
    caller = Principal(TENANT, subject="key:k", user=user)
    conversation = (await pod.chat.conversations.create(caller, NewConversation(user_id=user))).id
    return conversation, (await pod.chat.conversations.send(caller, conversation, NewMessage("hi there"))).id


async def plain(pod: FleetPod, user: str) -> None:
    """Have an answer that belongs to no conversation, and is not logged."""
    caller = Principal(TENANT, subject="key:k", user=user)
    run = await pod.chat.completions.start(caller, ChatRequest("m", (Message("user", "hi there"),)))
    await collect(run.read())


async def test_whole_answers_are_in_all_sums_to_the_last_digit(pods: list[FleetPod]) -> None:
    for number in range(6):
        await plain(pods[number % 2], f"u{number % 3}")
    conversations: dict[str, tuple[Usage, ...]] = {}
    for number in range(4):
        conversation, run = await ask(pods[number % 2], "talker")
        await collect(pods[1].chat.pool.read(TENANT, run))
        stored = await pods[0].chat.sessions.messages(TENANT, conversation)
        conversations[conversation] = tuple(each.usage for each in stored if each.usage)
    found = await counted(pods[0].ledger, 10)
    billed = [usage for pod in pods for usage in upstream_of(pod).billed]
    assert len(billed) == found[""]["requests"] == 10
    for name in ("input_tokens", "output_tokens", "cache_read_tokens"):
        assert found[""][name] == sum(getattr(usage, name) for usage in billed)
    cost = sum(map(price, billed))
    assert found[""]["cost"] * PICODOLLAR == cost
    assert sum(found[user]["cost"] for user in ("u0", "u1", "u2", "talker")) == found[""]["cost"]
    totals = await pods[1].ledger.totals(today())
    assert totals["cost"] * PICODOLLAR == cost
    for conversation, (usage,) in conversations.items():  # as the message has it
        assert usage.cost_usd == price(tokens_of(usage))
        assert usage.price_version.startswith("resource ")
        of_conversation = await pods[0].ledger.conversation(TENANT, conversation)
        assert (of_conversation["requests"], of_conversation["input_tokens"]) == (1, usage.input_tokens)
        assert of_conversation["cost"] * PICODOLLAR == usage.cost_usd


def upstream_of(pod: FleetPod) -> Upstream:
    provider = pod.chat.catalogue().provider("m")
    assert isinstance(provider, Instrumented)
    assert isinstance(provider._inner, Upstream)  # noqa: SLF001  # its account
    return provider._inner  # noqa: SLF001


def tokens_of(usage: Usage) -> Usage:
    return Usage(usage.input_tokens, usage.output_tokens, cache_read_tokens=usage.cache_read_tokens)


@pytest.fixture
async def pair(topologies: Topologies) -> AsyncIterator[list[FleetPod]]:
    async with AsyncExitStack() as stack:
        yield await opened(stack, topologies("single"), Upstream(0.02), Upstream(0.02))


async def test_of_300_answers_that_are_aborted_at_random_each_is_counted_once(pair: list[FleetPod]) -> None:
    random = Random(15)  # noqa: S311  # the same course each time

    async def abort(number: int) -> None:
        pod = pair[number % 2]
        _, run = await ask(pod, f"user-{number}")
        await asyncio.sleep(random.uniform(0, 0.09))
        if number % 3:
            await pair[(number + number // 3) % 2].chat.pool.cancel(TENANT, run)
        elif found := pod.chat.pool.find(TENANT, run):
            found.stop(Code.UPSTREAM_TRUNCATED)
        await collect(pair[1].chat.pool.read(TENANT, run))

    for begin in range(0, 300, 50):
        await asyncio.gather(*map(abort, range(begin, begin + 50)))
    found = await sums(pair[0].ledger)
    begun = sum(upstream_of(pod).begun for pod in pair)
    assert [counters["requests"] for user, counters in found.items() if user] == [1] * begun
    assert found[""]["requests"] == found[""]["priced"] == begun
    assert found[""]["estimated"] == begun - sum(len(upstream_of(pod).billed) for pod in pair)
    assert 0 < found[""]["estimated"] < begun


async def test_a_run_of_a_pod_that_died_is_counted_once_also_when_the_pod_comes_back(pair: list[FleetPod]) -> None:
    first, second = pair
    upstream_of(first).seconds = 60
    _, run = await ask(first, "someone")
    reader = Following(second.chat.pool.read(TENANT, run))
    await reader.seen(2)
    first.redis.whole = False
    await reader.whole()
    before = await sums(second.ledger)
    assert before["someone"]["requests"] == 1
    first.redis.whole = True
    zombie = first.chat.pool.find(TENANT, run)
    if zombie is not None:
        zombie.cancel()
    await eventually_async(lambda: first.chat.pool.find(TENANT, run) is None)
    await first.chat.conversations.create(Principal(TENANT))  # its writes have gone through by then
    assert await sums(second.ledger) == before
    [billed] = upstream_of(second).billed
    assert before["someone"]["output_tokens"] == billed.output_tokens + 1  # the word that was seen of the first
    assert before["someone"]["estimated"] == 1


def recording(pod: FleetPod, monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[..., Awaitable[Any]], list[Command]]:
    """Record the commands that the pod sends from now on; return its call of Redis, and the record."""
    sent, call = list[Command](), pod.redis_client.call

    def recorded(*command: str | bytes | int) -> Awaitable[Any]:
        sent.append(command)
        return call(*command)

    monkeypatch.setattr(pod.redis_client, "call", recorded)
    return call, sent


async def test_a_batch_whose_reply_was_lost_counts_once_and_under_another_number_twice(
    pair: list[FleetPod], monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = pair[0]
    call, sent = recording(pod, monkeypatch)
    await plain(pod, "once")
    before = await counted(pod.ledger, 1)
    [batch] = [command for command in sent if command[1] == SETTLE]
    await call(*batch)  # as after a lost reply
    assert await sums(pod.ledger) == before
    *command, number, ttl, packed = batch  # the control: what the number prevents
    await call(*command, int(number) + 1, ttl, packed)
    doubled = await sums(pod.ledger)
    assert doubled["once"]["requests"] == 2
    assert doubled["once"]["cost"] == 2 * before["once"]["cost"]


async def test_an_end_whose_reply_was_lost_counts_once_and_without_the_mark_of_the_end_twice(
    pair: list[FleetPod], monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = pair[0]
    call, sent = recording(pod, monkeypatch)
    _, run = await ask(pod, "once")
    await collect(pod.chat.pool.read(TENANT, run))
    before = await sums(pod.ledger)
    assert before["once"]["requests"] == 1  # at once, since readers see the end when it is counted
    end = [command for command in sent if command[1] == APPEND][-1]
    await call(*end)  # as after a lost reply
    assert await sums(pod.ledger) == before
    await call("HDEL", record_key(pod.redis_client, TENANT, run), "ended")  # the control: what the mark prevents
    await call(*end)
    assert (await sums(pod.ledger))["once"]["requests"] == 2


async def test_what_is_used_while_redis_is_away_is_counted_when_it_is_back(pair: list[FleetPod]) -> None:
    pod = pair[0]
    pod.redis.whole = False
    for _ in range(3):
        await plain(pod, "meanwhile")
    pod.redis.whole = True
    found = await counted(pod.ledger, 3)
    assert found["meanwhile"]["requests"] == 3
