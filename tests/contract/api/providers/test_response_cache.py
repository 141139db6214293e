"""Answers in Redis, on every topology and under the documented ACL: found while they are young, within one bound."""

from collections.abc import AsyncIterator, Sequence

import pytest
import redis.asyncio
from uuid_utils import uuid7

from chatfleet_api.providers.response_cache.script import KEEP, OVERHEAD, SWEPT
from chatfleet_api.providers.response_cache.store import CacheState, Found, Place, RedisAnswers, cache_keys
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.redis.connect import Command
from harness.polling import eventually_async
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

MOST = 1_000_000
AT_ONCE = 100


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def client(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[RedisClient]:
    async with open_redis(topologies(request.param), "tests", str(uuid7())) as opened:
        yield opened


@pytest.fixture
async def alone(topologies: Topologies) -> AsyncIterator[RedisClient]:
    async with open_redis(topologies("single"), "tests", str(uuid7())) as opened:
        yield opened


async def keep(answers: RedisAnswers, place: Place, answer: bytes = b"answer", *, most: int = MOST) -> None:
    await answers.keep(place, answer, ttl_seconds=60, max_bytes=most)


async def has(answers: RedisAnswers, place: Place) -> bool:
    return await answers.find(place, max_age_seconds=60) is not None


async def test_an_answer_is_found_at_its_place_alone(client: RedisClient) -> None:
    answers = RedisAnswers(client)
    places = [Place(tenant, model, key) for tenant in ("a", "b") for model in ("m", "n") for key in ("1", "2")]
    await keep(answers, places[0], b"\x00\xff")
    assert await answers.find(places[0], max_age_seconds=60) == Found(b"\x00\xff", 0)
    assert [await has(answers, place) for place in places[1:]] == [False] * 7
    assert await answers.state(ttl_seconds=60) == CacheState(1, 2 + OVERHEAD, 1, 7)
    await keep(answers, places[0], b"other")
    assert await answers.find(places[0], max_age_seconds=60) == Found(b"other", 0)
    assert (await answers.state(ttl_seconds=60))[:2] == (1, 5 + OVERHEAD)


async def test_an_answer_is_not_found_when_it_is_older_than_wanted(client: RedisClient) -> None:
    answers, place = RedisAnswers(client), Place("a", "m", "1")
    await keep(answers, place)
    assert await answers.find(place, max_age_seconds=0) is None
    await eventually_async(lambda: _is_older(answers, place))
    assert await answers.find(place, max_age_seconds=1) is None
    assert await has(answers, place)
    assert (await answers.state(ttl_seconds=1))[:2] == (0, 0)
    assert not await has(answers, place)


async def _is_older(answers: RedisAnswers, place: Place) -> bool:
    found = await answers.find(place, max_age_seconds=60)
    return found is not None and found.age_seconds >= 1


async def test_the_oldest_answers_go_when_a_new_one_needs_room(client: RedisClient) -> None:
    answers, size = RedisAnswers(client), 1000
    places = [Place("a", "m", str(number)) for number in range(6)]
    most = 4 * (size + OVERHEAD)
    for place in places:
        await keep(answers, place, b"x" * size, most=most)
    assert [await has(answers, place) for place in places] == [False, False, True, True, True, True]
    assert (await answers.state(ttl_seconds=60))[:2] == (4, most)
    await keep(answers, places[0], b"x" * (3 * size), most=most)
    state = await answers.state(ttl_seconds=60)
    assert (state.entries, state.bytes <= most) == (2, True)
    assert [await has(answers, place) for place in places] == [True, False, False, False, False, True]


async def test_those_of_a_tenant_or_a_model_are_removed_and_no_others(client: RedisClient) -> None:
    answers = RedisAnswers(client)
    places = [Place(tenant, model, "1") for tenant in ("a", "b", "c") for model in ("m", "n")]
    for place in places:
        await keep(answers, place)
    assert await answers.clear(tenant="a", model="n") == 1
    assert await answers.clear(tenant="b") == 2
    assert await answers.clear(model="m") == 2
    assert [place for place in places if await has(answers, place)] == [Place("c", "n", "1")]
    assert await answers.clear(tenant="of nobody") == 0
    assert await answers.clear() == 1
    assert (await answers.state(ttl_seconds=60))[:2] == (0, 0)


async def keep_all(client: RedisClient, places: Sequence[Place]) -> None:
    keys = cache_keys(client)
    steps: list[Command] = [
        ("EVAL", KEEP, len(keys), *keys, place.field, b"answer", 60_000, 10 * MOST) for place in places
    ]
    for at in range(0, len(steps), AT_ONCE):
        await client.call_all(steps[at : at + AT_ONCE])


async def test_a_step_makes_room_within_bounds_and_the_next_goes_on(alone: RedisClient) -> None:
    answers, new, most = RedisAnswers(alone), Place("a", "m", "new"), 3 * (6 + OVERHEAD)
    await keep_all(alone, [Place("a", "m", str(number)) for number in range(SWEPT + 3)])
    await keep(answers, new, most=most)
    assert ((await answers.state(ttl_seconds=60)).entries, await has(answers, new)) == (3, False)
    await keep(answers, new, most=most)
    assert ((await answers.state(ttl_seconds=60)).entries, await has(answers, new)) == (3, True)


async def test_more_answers_than_one_step_looks_at_are_all_removed(alone: RedisClient) -> None:
    answers, number = RedisAnswers(alone), 2 * SWEPT + 1
    await keep_all(alone, [Place("ab"[count % 2], "m", str(count)) for count in range(number)])
    assert await answers.clear(tenant="a") == SWEPT + 1
    assert (await answers.state(ttl_seconds=60)).entries == SWEPT
    assert await answers.clear() == SWEPT


async def test_nothing_outlives_its_time_and_no_name_is_stored(alone: RedisClient, topologies: Topologies) -> None:
    await keep(RedisAnswers(alone), Place("tenant-of-a-shop", "model-of-a-shop", "1"))
    async with redis.asyncio.Redis.from_url(topologies("single")) as server:
        entries, index, _ = cache_keys(alone)
        for key in (entries, index):
            assert 0 < await server.pttl(key) <= 60_000
            assert b"of-a-shop" not in (await server.dump(key) or b"")
