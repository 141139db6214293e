"""What pods let each other know of upstreams: at once, through any Redis, and when it returns if it was away."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError, Code, StorageUnavailableError
from chatfleet_api.providers.fleet_news import MOST_NEWS, FleetNews, news_key
from chatfleet_api.providers.policies.quota import Quota, Scope
from chatfleet_api.providers.quotas import Quotas
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.log.tasks import cancel
from harness.pods.fleet_pod import SeverableRedis, reached
from harness.polling import eventually_async
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies
from harness.upstream.catalogue import RecordingMeter

SCOPE = Scope("up", "org/gpt-x")


@dataclass
class Pod:
    """A pod, as far as it knows quotas."""

    redis: SeverableRedis
    client: RedisClient
    quotas: Quotas
    suspected: list[str] = field(default_factory=list)

    @property
    def quota(self) -> Quota:
        return self.quotas.of(SCOPE)

    async def limited(self, seconds: float) -> None:
        """Be answered by a 429."""

        async def attempt() -> None:
            raise ChatError(Code.UPSTREAM_RATE_LIMITED, retry_after=seconds)

        with pytest.raises(ChatError):
            await self.quota.attempt(0, attempt)

    async def answered(self, patience: float = 20) -> None:
        """Be answered, perhaps after a pause."""
        await self.quota.attempt(patience, _nothing)


async def _nothing() -> None: ...


Opening = Callable[[], Awaitable[Pod]]


async def opened(stack: AsyncExitStack, url: str, fleet: str) -> Pod:
    redis = SeverableRedis(lambda: url)
    redis.reload_url()
    stack.push_async_callback(redis.aclose)
    client = RedisClient(redis, f"tests/{fleet}")
    await eventually_async(lambda: reached(client))
    pod = Pod(redis, client, Quotas(RecordingMeter(), time.monotonic))
    pod.quotas.of(SCOPE)
    news = FleetNews(client, pod.quotas, pod=str(uuid7()), suspect=pod.suspected.append, clock=time.monotonic)
    pod.quotas.fleet = news
    stack.push_async_callback(cancel, asyncio.create_task(news.run()))
    return pod


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def anywhere(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[Opening]:
    url, name = topologies(request.param), str(uuid7())
    async with AsyncExitStack() as stack:
        yield lambda: opened(stack, url, name)


@pytest.fixture
async def pod(redis_url: str) -> AsyncIterator[Opening]:
    name = str(uuid7())
    async with AsyncExitStack() as stack:
        yield lambda: opened(stack, redis_url, name)


async def test_a_pause_is_known_to_all_pods_until_a_probe_is_answered_also_to_one_that_comes_later(
    anywhere: Opening,
) -> None:
    first, second = await anywhere(), await anywhere()
    await first.limited(0.5)
    await eventually_async(lambda: second.quota.paused)
    late = await anywhere()
    await eventually_async(lambda: late.quota.paused)
    await second.answered()
    await eventually_async(lambda: not any(each.quota.paused for each in (first, second, late)))


@pytest.mark.timed
async def test_a_pause_is_known_to_all_pods_within_100_ms(pod: Opening) -> None:
    first, *others = [await pod() for _ in range(3)]
    await eventually_async(lambda: reached(others[-1].client))
    await first.limited(30)
    began = time.monotonic()
    await eventually_async(lambda: all(each.quota.paused for each in others), every=0.002)
    assert time.monotonic() - began < 0.1


async def test_one_pod_is_the_probe_and_what_it_meets_counts_for_all(pod: Opening) -> None:
    first, second = await pod(), await pod()
    asked: list[int] = []

    async def probe(result: ChatError) -> None:
        asked.append(1)
        raise result

    await first.limited(0.3)
    await eventually_async(lambda: second.quota.paused)
    again = ChatError(Code.UPSTREAM_RATE_LIMITED, retry_after=60)
    found = await asyncio.gather(
        *(each.quota.attempt(20, lambda: probe(again)) for each in (first, second)), return_exceptions=True
    )
    assert asked == [1]
    assert all(isinstance(each, ChatError) and (each.retry_after or 0) > 50 for each in found)


async def test_while_redis_is_away_each_pod_works_alone_and_makes_its_pause_known_afterwards(pod: Opening) -> None:
    first, second = await pod(), await pod()
    for each in (first, second):
        each.redis.whole = False
    await first.limited(60)
    await second.limited(0.1)
    await second.answered()
    assert (first.quota.paused, second.quota.paused) == (True, False)
    for each in (first, second):
        each.redis.whole = True
    await eventually_async(lambda: second.quota.paused)


async def test_an_open_circuit_breaker_is_known_to_the_others_alone(pod: Opening) -> None:
    first, second = await pod(), await pod()
    first.quotas.fleet.circuit_opened("up")
    await eventually_async(lambda: second.suspected == ["up"])
    await first.limited(60)
    await eventually_async(lambda: second.quota.paused)
    assert first.suspected == []


async def test_the_news_of_many_pauses_take_a_bounded_space(pod: Opening) -> None:
    first = await pod()
    for _ in range(MOST_NEWS + 50):
        first.quotas.fleet.circuit_opened("up")
    await eventually_async(lambda: _length(first, MOST_NEWS))
    assert await first.client.call("PTTL", news_key(first.client)) > 0


async def _length(pod: Pod, entries: int) -> bool:
    try:
        return bool(await pod.client.call("XLEN", news_key(pod.client)) == entries)
    except StorageUnavailableError:  # the news still have all connections
        return False
