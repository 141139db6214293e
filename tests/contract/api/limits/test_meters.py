"""The meters in Redis, on every topology: the same decisions as in memory, once each, and leases that heal."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from uuid_utils import uuid7

from chatfleet_api.domain.quota import Demand, Held, qualified
from chatfleet_api.limits import script
from chatfleet_api.limits.buckets import Buckets
from chatfleet_api.limits.meters import RedisMeters
from chatfleet_api.limits.verdict import SECOND, Verdict
from chatfleet_api.redis.client import RedisClient, open_redis
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

REQUESTS = Demand("tenant:requests", "requests", 3, 20 * SECOND, 1)
TOKENS = Demand("key:k:tokens", "tokens", 1000, 60 * SECOND / 1000, 400)
STREAMS = Demand("user:u:streams", "streams", 2, 0.0, 1)
MODEL = Demand("model:m:requests", "requests", 50, 1.2 * SECOND, 1)


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def redis_client(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[RedisClient]:
    async with open_redis(topologies(request.param), "tests", "chat") as client:
        yield client


@pytest.fixture
def tenant() -> str:
    return f"tenant }}{{*/ {uuid7()}"


def meters(redis_client: RedisClient) -> RedisMeters:
    return RedisMeters(redis_client, lambda: 60)


def held(*demands: Demand, local: bool = False) -> Held:
    return Held(str(uuid7()), demands, local)


def spent(asked: Held, tokens: int) -> list[int]:
    return [tokens if demand.unit == "tokens" else demand.cost for demand in asked.demands]


def remaining(verdict: Verdict) -> list[int]:
    """Return what is left of each meter; of tokens in hundreds, because some come back while a test runs."""
    return [left.remaining // 100 * 100 if left.remaining > 100 else left.remaining for left in verdict.left]


async def test_all_limits_of_a_request_are_decided_in_one_call(redis_client: RedisClient, tenant: str) -> None:
    shared = meters(redis_client)
    asked = (REQUESTS, TOKENS, STREAMS, MODEL)
    assert remaining(await shared.reserve(tenant, held(*asked))) == [2, 600, 1, 49]
    assert remaining(await shared.reserve(tenant, held(*asked))) == [1, 200, 0, 48]
    refused = await shared.reserve(tenant, held(*asked))
    assert (refused.refused, remaining(refused)) == (1, [1, 200, 0, 48])  # of tokens 200 are missing, for 12 s
    assert refused.wait == pytest.approx(12 * SECOND, rel=0.1)
    other = await shared.reserve(f"{tenant} of another", held(*asked))
    assert remaining(other) == [2, 600, 1, 49]


async def test_a_repeated_call_takes_nothing_more(redis_client: RedisClient, tenant: str) -> None:
    shared, asked = meters(redis_client), held(REQUESTS, TOKENS, STREAMS)
    assert await shared.reserve(tenant, asked) == await shared.reserve(tenant, asked)
    for _ in range(3):
        await shared.settle(tenant, asked, spent(asked, 100))
    assert remaining(await shared.reserve(tenant, held(REQUESTS, TOKENS, STREAMS))) == [1, 500, 1]


async def test_what_an_answer_used_more_is_charged_and_what_it_used_less_returns(
    redis_client: RedisClient, tenant: str
) -> None:
    shared, more = meters(redis_client), held(TOKENS)
    await shared.reserve(tenant, more)
    await shared.settle(tenant, more, [700])
    nothing = Demand(TOKENS.meter, "tokens", TOKENS.limit, TOKENS.interval, 0)
    assert remaining(await shared.reserve(tenant, held(nothing))) == [300]
    small = held(Demand(TOKENS.meter, "tokens", TOKENS.limit, TOKENS.interval, 200))
    await shared.reserve(tenant, small)
    await shared.settle(tenant, small, [0])
    assert remaining(await shared.reserve(tenant, held(nothing))) == [300]


async def test_what_has_come_back_by_itself_is_not_given_back_again(redis_client: RedisClient, tenant: str) -> None:
    shared, asked = meters(redis_client), held(TOKENS)
    await shared.reserve(tenant, asked)
    long_ago = "0 0 600 0 1"
    await redis_client.call("SET", redis_client.shared_key(qualified(tenant, f"hold:{asked.lease}")), long_ago)
    await shared.settle(tenant, asked, [0])
    nothing = Demand(TOKENS.meter, "tokens", TOKENS.limit, TOKENS.interval, 0)
    assert remaining(await shared.reserve(tenant, held(nothing))) == [600]


async def test_what_a_pod_alone_allowed_is_charged_once(redis_client: RedisClient, tenant: str) -> None:
    shared, alone = meters(redis_client), held(REQUESTS, TOKENS, STREAMS, local=True)
    for _ in range(3):
        await shared.settle(tenant, alone, spent(alone, 300))
    assert remaining(await shared.reserve(tenant, held(REQUESTS, TOKENS, STREAMS))) == [1, 300, 1]


async def test_the_lease_of_a_stream_runs_out_unless_it_is_renewed(redis_client: RedisClient, tenant: str) -> None:
    shared, dead, living = meters(redis_client), held(STREAMS), held(STREAMS)
    for each in (dead, living):
        assert (await shared.reserve(tenant, each)).refused is None
    assert (await shared.reserve(tenant, held(STREAMS))).refused == 0
    await expire(redis_client, tenant)
    await shared.renew({(tenant, STREAMS.meter): [living.lease]})
    assert remaining(await shared.reserve(tenant, held(STREAMS))) == [0]
    assert (await shared.reserve(tenant, held(STREAMS))).refused == 0
    await shared.release({(tenant, STREAMS.meter): [living.lease]})
    assert remaining(await shared.reserve(tenant, held(STREAMS))) == [0]


async def expire(redis_client: RedisClient, tenant: str) -> None:
    """Let all leases of the tenant be as old as those of a dead pod: no test waits for that."""
    key = redis_client.shared_key(qualified(tenant, STREAMS.meter))
    for lease in await redis_client.call("ZRANGE", key, 0, -1):
        await redis_client.call("ZADD", key, 1, lease)


async def test_the_script_decides_as_the_pod_does_alone(redis_client: RedisClient, tenant: str) -> None:
    """The same course of requests and settlements, with the time of Redis in the place of the pod's."""
    shared, alone, rand = meters(redis_client), Buckets(), random.Random(7)  # noqa: S311  # no secret
    asked = (
        Demand("tenant:requests", "requests", 40, 2.5 * SECOND, 1),
        Demand("tenant:tokens", "tokens", 900, 0.1 * SECOND, 100),
        Demand("tenant:streams", "streams", 3, 0.0, 1),
    )
    running: list[Held] = []
    for _ in range(120):
        if running and rand.random() < 0.5:
            each = running.pop(rand.randrange(len(running)))
            used = rand.randrange(200)
            await shared.settle(tenant, each, spent(each, used))
            by_meter = [(demand.meter, used if demand.unit == "tokens" else 1) for demand in each.demands]
            alone.settle(tenant, each.lease, by_meter, await time_of(redis_client, tenant))
            continue
        request = held(*asked)
        verdict = await shared.reserve(tenant, request)
        mine = alone.reserve(tenant, request.lease, asked, await time_of(redis_client, tenant))
        assert verdict.refused == mine.refused
        left = [each.remaining for each in verdict.left]
        assert left == [pytest.approx(each.remaining, abs=1) for each in mine.left]
        if verdict.refused is None:
            running.append(request)


async def test_a_budget_is_a_sum_that_counts_each_answer_once(redis_client: RedisClient, tenant: str) -> None:
    """The same course of requests and settlements as in the memory of a pod, which is held to an oracle."""
    shared, alone, rand = meters(redis_client), Buckets(), random.Random(11)  # noqa: S311  # no secret
    whole = 9_000_000 * 10**9 + 1  # nanodollars: the most that a budget and its reservations may be
    running: list[Held] = []
    for _ in range(150):
        if running and rand.random() < 0.5:
            each = running.pop(rand.randrange(len(running)))
            by_meter = [(demand.meter, rand.randrange(demand.cost * 11 // 10 + 1)) for demand in each.demands]
            for _ in range(2):
                await shared.settle(tenant, each, [used for _, used in by_meter])
            alone.settle(tenant, each.lease, by_meter, 0)
            continue
        usd = Demand("tenant:usd:2026-01", "usd", whole, 5.0 * SECOND, rand.randrange(whole // 9))
        request = held(usd, Demand("tenant:daily:2026-01-31", "daily", 2000, 9.0 * SECOND, rand.randrange(300)))
        verdict = await shared.reserve(tenant, request)
        assert verdict == alone.reserve(tenant, request.lease, request.demands, 0)
        assert verdict == await shared.reserve(tenant, request)
        if verdict.refused is None:
            running.append(request)


async def test_a_budget_of_the_chatdeployment_and_one_of_a_tenant_are_decided_together(
    redis_client: RedisClient, tenant: str
) -> None:
    shared, period = meters(redis_client), str(uuid7())
    fleet = Demand(f"deployment:daily:{period}", "daily", 100, 5.0 * SECOND, 40)
    own = Demand(f"tenant:daily:{period}", "daily", 90, 5.0 * SECOND, 40)
    first = held(fleet, own)
    assert remaining(await shared.reserve(tenant, first)) == [60, 50]
    other = f"{tenant} of another"
    assert remaining(await shared.reserve(other, held(fleet, own))) == [20, 50]
    refused = await shared.reserve(other, held(fleet, own))
    assert (refused.refused, remaining(refused)) == (0, [20, 50])
    await shared.settle(tenant, first, [10, 10])
    assert remaining(await shared.reserve(other, held(fleet, own))) == [10, 10]


async def test_a_budget_that_redis_has_lost_does_not_become_negative(redis_client: RedisClient, tenant: str) -> None:
    shared, asked = meters(redis_client), held(Demand("tenant:usd:2026-01", "usd", 100, 5.0 * SECOND, 60))
    await shared.reserve(tenant, asked)
    await redis_client.call("DEL", redis_client.shared_key(qualified(tenant, "tenant:usd:2026-01")))
    await shared.settle(tenant, asked, [10])
    assert (await shared.reserve(tenant, held(*asked.demands))).left[0].remaining == 40


async def time_of(redis_client: RedisClient, tenant: str) -> float:
    key = redis_client.shared_key(qualified(tenant, "clock"))
    reply: Any = await redis_client.call("EVAL", "redis.call('GET', KEYS[1]) return redis.call('TIME')", 1, key)
    return int(reply[0]) * SECOND + int(reply[1])


async def test_nothing_is_left_of_what_has_ended(redis_client: RedisClient, tenant: str) -> None:
    shared, asked = meters(redis_client), held(TOKENS, STREAMS)
    await shared.reserve(tenant, asked)
    await shared.settle(tenant, asked, spent(asked, 0))
    keys = [
        redis_client.shared_key(qualified(tenant, name))
        for name in (f"hold:{asked.lease}", TOKENS.meter, STREAMS.meter)
    ]
    assert [await redis_client.call("EXISTS", key) for key in keys] == [0, 0, 0]


def test_arguments_are_words_of_redis() -> None:
    name, text, count, *rest = script.reserve(["hold", "meter"], "l", (TOKENS,), lease_ms=1, hold_ms=2)
    assert (name, count, rest) == ("EVAL", 2, ["hold", "meter", "l", 1, 2, "t 1000 60000.0 400"])
    assert isinstance(text, bytes)
