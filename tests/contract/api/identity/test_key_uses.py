"""When API keys were last used, as all pods of one Redis know it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils import uuid7

from chatfleet_api.identity.api_keys import APIKey, parse_key
from chatfleet_api.identity.key_uses import KEPT_DAYS, KeyUses, use_key
from chatfleet_api.redis.client import RedisClient, open_redis

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WEB, OTHER = (f"sk-chat-{name:-<40}" for name in ("web", "other"))


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[RedisClient]:
    async with open_redis(redis_url, "tests", str(uuid7())) as client:
        yield client


class Pod:
    """The keys of one pod, named web each, and what it knows of their uses."""

    def __init__(self, redis: RedisClient | None, *values: str) -> None:
        self.keys: list[APIKey] = [
            parse_key(value, name="web", tenant="shop", secret=f"keys-{number}") for number, value in enumerate(values)
        ]
        self.uses = KeyUses(redis, lambda: self.keys)

    def use(self, at: datetime, number: int = 0) -> None:
        grant = self.keys[number].principal.grant
        assert grant
        grant.used = at

    async def last(self) -> list[datetime | None]:
        found = await self.uses.last()
        assert found.whole
        return [used for _, used in found.keys]


async def test_each_pod_knows_the_last_use_on_any_and_so_does_one_that_starts_later(redis: RedisClient) -> None:
    async with AsyncExitStack() as stack:
        one, other = Pod(redis, WEB, OTHER), Pod(redis, WEB, OTHER)
        for pod in (one, other):
            await stack.enter_async_context(pod.uses.recording())
        one.use(NOON)
        assert await one.last() == [NOON, None]
        assert await other.last() == [None, None]
    later = Pod(redis, WEB, OTHER)
    assert await later.last() == [NOON, None]
    later.use(NOON + timedelta(seconds=1))
    assert await later.last() == [NOON + timedelta(seconds=1), None]


@pytest.mark.parametrize("late", [0, 3600])
async def test_the_later_use_stays_whoever_writes_last(redis: RedisClient, late: int) -> None:
    for seconds in (late, 3600 - late):
        pod = Pod(redis, WEB)
        async with pod.uses.recording():
            pod.use(NOON + timedelta(seconds=seconds))
    assert await Pod(redis, WEB).last() == [NOON + timedelta(hours=1)]


async def test_a_new_value_under_a_name_has_not_been_used_and_the_entry_of_the_old_one_expires(
    redis: RedisClient,
) -> None:
    pod = Pod(redis, WEB)
    async with pod.uses.recording():
        pod.use(NOON)
    assert await Pod(redis, OTHER).last() == [None]
    name = use_key(redis, pod.keys[0])
    assert "web" not in name.rpartition(":")[2]
    assert 0 < await redis.call("TTL", name) <= KEPT_DAYS * 86_400


async def test_more_keys_than_one_command_takes_are_all_recorded(redis: RedisClient) -> None:
    values = [f"sk-chat-{number:-<40}" for number in range(1100)]
    pod = Pod(redis, *values)
    async with pod.uses.recording():
        for number in range(len(values)):
            pod.use(NOON, number)
    assert await Pod(redis, *values).last() == [NOON] * len(values)
