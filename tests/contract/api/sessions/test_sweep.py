"""Conversations in Redis are deleted by age: quickly, and none that has changed meanwhile."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from uuid_utils import uuid7

from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.sessions.keys import conversation_keys
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.sessions.store import Conversation
from harness.pods.live import fixed
from harness.pods.runs import conversations

NOW = datetime(2026, 1, 2, tzinfo=UTC)
MANY = 10_000
TENANT = "shop"


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[RedisClient]:
    async with open_redis(redis_url, "tests", "chat") as opened:
        yield opened


def milliseconds_spent(url: str) -> float:
    """Return how long the server has been busy with commands since the last reset."""
    with redis.Redis.from_url(url) as server:
        stats = server.info("commandstats")
        counted = ("eval", "zrange", "zrem")  # what scripts call is within the time of eval
        return float(sum(stats[f"cmdstat_{name}"]["usec"] for name in counted)) / 1000


async def fill(client: RedisClient, count: int) -> None:
    """Store conversations of a message each, as the store has them, of the days before `NOW`."""
    day = (NOW - timedelta(days=40)).isoformat(timespec="milliseconds")
    listing, changed = client.key(TENANT, "conversations"), round((NOW - timedelta(days=40)).timestamp() * 1e6)
    for first in range(0, count, 1000):
        commands: list[tuple[str | bytes | int, ...]] = []
        for number in range(first, first + 1000):
            identity = str(uuid7())
            record, messages = conversation_keys(client, TENANT, identity)
            commands += [
                ("HSET", record, "record", "{}", "version", 1, "updated", day),
                ("RPUSH", messages, "x" * 1000),
                ("ZADD", listing, changed + number, identity),
            ]
        await client.call_all(commands)


@pytest.mark.feature(36, 55)
@pytest.mark.timed
async def test_ten_thousand_are_deleted_in_a_tenth_of_a_second_of_redis(client: RedisClient, redis_url: str) -> None:
    await fill(client, MANY)
    store = RedisSessionStore(client, conversations(), fixed(0))
    with redis.Redis.from_url(redis_url) as server:
        assert server.dbsize() == 2 * MANY + 1
        server.config_resetstat()
        assert await store.delete_older(TENANT, NOW, limit=MANY) == MANY
        spent = milliseconds_spent(redis_url)
        assert server.dbsize() == 0
    assert spent < 100, f"{spent:.1f} ms"


async def test_what_has_changed_since_it_was_listed_stays(client: RedisClient, redis_url: str) -> None:
    store = RedisSessionStore(client, conversations(), fixed(0))
    old, now = ((NOW - age).isoformat(timespec="milliseconds") for age in (timedelta(days=1), timedelta(0)))
    changed, stale = (Conversation(str(uuid7()), None, None, {}, old, old) for _ in range(2))
    for each in (changed, stale):
        await store.create(TENANT, each)
    with redis.Redis.from_url(redis_url) as server:  # as when its place in the listing has yet to follow
        server.hset(conversation_keys(client, TENANT, changed.id)[0], "updated", now)

    assert await store.delete_older(TENANT, NOW, limit=10) == 1
    assert [each.id for each in (await store.list(TENANT)).items] == [changed.id]
