"""Limits on several pods with one Redis: shared, healed after aborts and deaths, and enforced while Redis is away."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from uuid_utils import uuid7

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Complete, Usage
from chatfleet_api.domain.key_limits import KeyLimits, LimitsOfKeys
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.provider import Finish
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Budget, Limit
from harness.pods.fleet_pod import FleetPod, Following, acquainted, open_pod
from harness.pods.runs import CALLER, STOP, TENANT, FakeProvider, text
from harness.polling import eventually_async

REQUEST = ChatRequest("m", (Message("user", "Hi"),), max_tokens=99)
USED = Finish("stop", Usage(input_tokens=1000, output_tokens=4000))
STREAMS = "limit:tenant:streams"


class Fleet:
    """Pods of one fleet, each with a provider of its own."""

    def __init__(self, stack: AsyncExitStack, url: str) -> None:
        self._stack, self._url, self._name = stack, url, str(uuid7())

    async def open(self, limits: Limits, *providers: FakeProvider, keys: LimitsOfKeys | None = None) -> list[FleetPod]:
        pods = [
            await open_pod(self._stack, self._url, each, fleet=self._name, capacity=500, limits=limits, keys=keys)
            for each in providers
        ]
        await acquainted(*pods)
        return pods


@pytest.fixture
async def fleet(redis_url: str) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(stack, redis_url)


def of_tenant(on_redis_away: str = "local", **fields: int) -> Limits:
    return Limits.model_validate({"perTenant": Limit(**fields).document(), "onRedisAway": on_redis_away})  # type: ignore[arg-type]


async def whole(pod: FleetPod, caller: Principal = CALLER) -> None:
    run = await pod.chat.completions.start(caller, REQUEST)
    async for batch in run.read():
        if batch.terminal:
            assert isinstance(batch.events[-1], Complete)


async def outcomes(pod: FleetPod, count: int) -> list[Code | None]:
    """Return how so many requests, one after the other, end."""
    found: list[Code | None] = []
    for _ in range(count):
        try:
            await whole(pod)
        except ChatError as error:
            found.append(error.code)
        else:
            found.append(None)
    return found


async def leases(pod: FleetPod, tenant: str = TENANT) -> int:
    return int(await pod.redis_client.call("ZCARD", pod.redis_client.key(tenant, STREAMS)))


async def holds(pod: FleetPod) -> list[bytes]:
    keys = await pod.redis_client.call("KEYS", "chatfleet:*limit:hold:*")
    values = [await pod.redis_client.call("GET", key) for key in keys]
    return [value for value in values if value not in (None, b"settled")]


async def test_all_pods_share_a_limit(fleet: Fleet) -> None:
    first, second = await fleet.open(of_tenant(requests_per_minute=2), *[FakeProvider(text("a"), [STOP])] * 2)
    assert await outcomes(first, 1) + await outcomes(second, 2) == [None, None, Code.LIMIT_EXCEEDED]
    assert await outcomes(first, 1) == [Code.LIMIT_EXCEEDED]


async def test_a_run_that_is_taken_over_keeps_its_stream_and_is_charged_once(fleet: Fleet) -> None:
    limits = of_tenant(concurrent_streams=1, tokens_per_minute=10_000)
    dying, heir = await fleet.open(limits, FakeProvider(text("one "), 60), FakeProvider(text("all"), 0.5, [USED]))
    conversation = (await dying.chat.conversations.create(CALLER)).id
    message = NewMessage("Hi", max_tokens=2000)
    run = await dying.chat.conversations.send(CALLER, conversation, message)
    dying.redis.whole = False
    await eventually_async(lambda: heir.chat.pool.find(TENANT, run.id) is not None)
    assert await outcomes(heir, 1) == [Code.LIMIT_EXCEEDED]
    await Following(heir.chat.pool.read(TENANT, run.id)).whole()
    assert await leases(heir) == 0
    assert not await holds(heir)
    left = await heir.limiter.reserve(CALLER, "m", lambda: 1)
    assert left is not None
    tokens = left[1].tokens
    assert tokens is not None
    assert 4900 < tokens.remaining < 8000


@pytest.mark.parametrize("policy", ["local", "reject"])
async def test_while_redis_is_away_each_pod_allows_its_share_or_nothing(fleet: Fleet, policy: str) -> None:
    limits = of_tenant(policy, requests_per_minute=4)
    pods = await fleet.open(limits, *[FakeProvider(text("a"), [STOP])] * 2)
    for pod in pods:
        pod.redis.whole = False
    found = [await outcomes(pod, 3) for pod in pods]
    if policy == "reject":
        assert found == [[Code.STORAGE_UNAVAILABLE] * 3] * 2
    else:
        assert found == [[None, None, Code.LIMIT_EXCEEDED]] * 2
    for pod in pods:
        pod.redis.whole = True
    if policy == "local":
        await eventually_async(lambda: not any(pod.together.unreachable or pod.together.unsettled for pod in pods))
        assert [await outcomes(pod, 1) for pod in pods] == [[Code.LIMIT_EXCEEDED]] * 2


def with_budget(tokens: int) -> Limits:
    return Limits.model_validate({"budgets": {"perTenant": {"tokensPerDay": tokens}}})


async def test_all_pods_share_a_budget_which_a_run_that_is_taken_over_is_charged_once(fleet: Fleet) -> None:
    dying, heir = await fleet.open(
        with_budget(10_000), FakeProvider(text("one "), 60), FakeProvider(text("all"), 0.5, [USED])
    )
    conversation = (await dying.chat.conversations.create(CALLER)).id
    run = await dying.chat.conversations.send(CALLER, conversation, NewMessage("Hi", max_tokens=9950))
    dying.redis.whole = False
    await eventually_async(lambda: heir.chat.pool.find(TENANT, run.id) is not None)
    assert await outcomes(heir, 1) == [Code.BUDGET_EXHAUSTED]
    await Following(heir.chat.pool.read(TENANT, run.id)).whole()
    assert not await holds(heir)
    (key,) = await heir.redis_client.call("KEYS", "chatfleet:*limit:tenant:daily:*")
    used = int(await heir.redis_client.call("GET", key))
    assert 5000 <= used < 5100
    dying.redis.whole = True
    await eventually_async(lambda: not dying.together.unreachable and not dying.together.unsettled)
    assert int(await heir.redis_client.call("GET", key)) == used


async def test_requests_at_once_on_all_pods_spend_the_whole_budget_and_no_more(fleet: Fleet) -> None:
    """150 requests of 100 tokens, of which 100 fit, while Redis drops connections: all are reserved before one ends."""
    provider = FakeProvider(text("a"), 0.5, [Finish("stop", Usage(input_tokens=1, output_tokens=99))])
    pods = await fleet.open(with_budget(10_000), *[provider] * 3)
    asking = [asyncio.create_task(outcomes(pods[number % 3], 1)) for number in range(150)]
    await asyncio.sleep(0)
    await pods[0].redis_client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    found = [code for codes in await asyncio.gather(*asking) for code in codes]
    unreachable = found.count(Code.STORAGE_UNAVAILABLE)
    assert found.count(None) + unreachable >= 100
    assert found.count(None) <= 100
    await eventually_async(lambda: not any(pod.together.unreachable or pod.together.unsettled for pod in pods))
    (key,) = await pods[0].redis_client.call("KEYS", "chatfleet:*limit:tenant:daily:*")
    await eventually_async(lambda: _is(pods[0], key, 100 * found.count(None)))


async def _is(pod: FleetPod, key: bytes, used: int) -> bool:
    return int(await pod.redis_client.call("GET", key)) == used


async def test_while_redis_is_away_no_budget_is_spent(fleet: Fleet) -> None:
    (pod,) = await fleet.open(with_budget(10_000), FakeProvider(text("a"), [STOP]))
    assert await outcomes(pod, 1) == [None]
    pod.redis.whole = False
    assert await outcomes(pod, 1) == [Code.STORAGE_UNAVAILABLE]
    pod.redis.whole = True
    await eventually_async(lambda: not pod.together.unreachable)
    assert await outcomes(pod, 1) == [None]


async def ended_at_random(pod: FleetPod, rand: random.Random, *, retrievable: bool) -> None:
    run = await pod.chat.completions.start(CALLER, REQUEST, retrievable=retrievable)
    try:
        async for batch in run.read():
            if rand.random() < 0.2:
                run.cancel()
            if batch.terminal:
                return
    finally:
        run.cancel()


async def clean(pod: FleetPod) -> bool:
    """Return whether nothing counts, and nothing is held; that a request was charged may be remembered."""
    return await leases(pod) == 0 and not await holds(pod)


async def test_no_stream_is_leaked_by_requests_that_end_at_any_moment(fleet: Fleet) -> None:
    """1,000 requests on three pods, cancelled at random, while Redis drops connections and goes away."""
    rand = random.Random(5)  # noqa: S311  # no secret
    provider = FakeProvider(0.001, text("a"), 0.01, text("b"), 0.02, [STOP])
    pods = await fleet.open(of_tenant(concurrent_streams=10_000, tokens_per_minute=1_000_000_000), *[provider] * 3)
    for number in range(10):
        tasks = [
            asyncio.create_task(ended_at_random(rand.choice(pods), rand, retrievable=each % 4 == 0))
            for each in range(100)
        ]
        if number % 3 == 1:
            await pods[0].redis_client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        pods[1].redis.whole = number % 3 != 2
        for task in tasks:
            if rand.random() < 0.3:
                await asyncio.sleep(0)
                task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert ended is None or isinstance(ended, ChatError | asyncio.CancelledError), ended
        pods[1].redis.whole = True
    await eventually_async(lambda: clean(pods[0]))


async def test_a_tenant_that_floods_takes_nothing_of_another(fleet: Fleet) -> None:
    (pod,) = await fleet.open(of_tenant(requests_per_minute=60), FakeProvider(text("a"), [STOP]))
    flooding, calm = Principal("flood"), Principal("calm")
    refused = 0
    for _ in range(200):
        try:
            await whole(pod, flooding)
        except ChatError as error:
            refused += error.code is Code.LIMIT_EXCEEDED
    assert refused >= 130
    for _ in range(60):
        await whole(pod, calm)


async def test_all_pods_share_the_budget_that_one_key_has_of_its_own(fleet: Fleet) -> None:
    key, other = Principal(TENANT, "key:web"), Principal(TENANT, "key:other")
    own = {(TENANT, "key:web"): KeyLimits(budget=Budget(tokens_per_day=250))}
    answering = FakeProvider(text("a"), [Finish("stop", Usage(input_tokens=50, output_tokens=50))])
    pods = await fleet.open(Limits(), answering, answering, keys=own)
    for pod in pods:
        await whole(pod, key)
    for pod in pods:
        with pytest.raises(ChatError) as refused:
            await whole(pod, key)
        assert refused.value.code is Code.BUDGET_EXHAUSTED
        await whole(pod, other)
