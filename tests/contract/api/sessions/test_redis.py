"""What only the session store in Redis promises: keys that expire, listings that heal, and failures that are told."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any
from unittest import mock

import pytest
import redis.asyncio
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.redis.connect import ANSWER_SECONDS, CONNECTIONS
from chatfleet_api.sessions import redis as sessions
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.sessions.store import Append, Conversation, StoredMessage
from harness.faults.proxy import Proxy, proxied
from harness.pods.fleet_pod import reached
from harness.pods.live import fixed
from harness.pods.runs import conversations
from harness.polling import eventually_async
from harness.redis.server import redis_server
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

NOW = "2026-01-01T00:00:00.000+00:00"
TENANT = "default"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server of this test alone, so that it may be mistreated."""
    with redis_server(tmp_path) as started:
        yield started


@pytest.fixture
async def server(url: str) -> AsyncIterator["redis.asyncio.Redis"]:
    async with redis.asyncio.Redis.from_url(url) as client:
        yield client


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Proxy]:
    async with proxied(url) as opened:
        yield opened


@pytest.fixture
async def redis_client(proxy: Proxy) -> AsyncIterator[RedisClient]:
    async with open_redis(proxy.redis_url, "tests", "chat") as opened:
        yield opened


@pytest.fixture
def store(redis_client: RedisClient) -> RedisSessionStore:
    return RedisSessionStore(redis_client, conversations(ttl_seconds=100), fixed(0))


def conversation(user_id: str | None = "u") -> Conversation:
    return Conversation(str(uuid7()), user_id, None, {}, NOW, NOW)


def message(content: str = "hi") -> StoredMessage:
    return StoredMessage(str(uuid7()), "user", content, NOW)


async def unavailable(store: RedisSessionStore) -> ChatError:
    with pytest.raises(ChatError) as caught:
        await store.create(TENANT, conversation())
    assert caught.value.code is Code.STORAGE_UNAVAILABLE
    assert caught.value.retry_after
    assert "127.0.0.1" not in caught.value.message
    return caught.value


@pytest.mark.feature(37)
async def test_everything_expires_and_every_change_renews_it(
    store: RedisSessionStore, server: "redis.asyncio.Redis"
) -> None:
    new = conversation()
    await store.create(TENANT, new)
    for key in await server.keys():
        await server.expire(key, 10)
    await store.append(TENANT, new.id, Append((message(),), now=NOW, expected_version=None))
    keys = await server.keys()
    assert len(keys) == 4
    assert [await server.ttl(key) > 90 for key in keys] == [True] * 4


async def test_a_listing_passes_over_what_is_gone_and_forgets_it(
    store: RedisSessionStore, server: "redis.asyncio.Redis"
) -> None:
    gone, left = conversation(), conversation()
    for new in (gone, left):
        await store.create(TENANT, new)
    await server.delete(f"chatfleet:{{tests/chat/default/{gone.id}}}:conversation")
    assert [found.id for found in (await store.list(TENANT, limit=1)).items] == [left.id]
    assert await server.zrange("chatfleet:{tests/chat/default}:conversations", 0, -1) == [left.id.encode()]


def counted(call: Callable[..., Awaitable[Any]], trips: mock.Mock) -> Callable[..., Awaitable[Any]]:
    def count(*arguments: object) -> Awaitable[Any]:
        trips()
        return call(*arguments)

    return count


async def test_a_page_costs_two_round_trips(
    store: RedisSessionStore, redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(12):
        await store.create(TENANT, conversation())
    trips = mock.Mock()
    for name in ("call", "call_all"):
        monkeypatch.setattr(redis_client, name, counted(getattr(redis_client, name), trips))
    first = await store.list(TENANT, limit=5)
    second = await store.list(TENANT, limit=100, cursor=first.next)
    assert (len(first.items), len(second.items), second.next) == (5, 7, None)
    assert trips.call_count == 2 * 2


async def test_a_listing_forgets_what_must_have_expired(
    store: RedisSessionStore, server: "redis.asyncio.Redis"
) -> None:
    await store.create(TENANT, conversation())
    later = Conversation(str(uuid7()), None, None, {}, NOW, "2026-01-01T00:01:41.000+00:00")
    await store.create(TENANT, later)
    assert await server.zrange("chatfleet:{tests/chat/default}:conversations", 0, -1) == [later.id.encode()]


async def test_an_append_whose_reply_was_lost_is_not_doubled(store: RedisSessionStore, proxy: Proxy) -> None:
    new = conversation()
    await store.create(TENANT, new)
    proxy.lose_reply()
    said = message()
    assert await store.append(TENANT, new.id, Append((said,), now=NOW, expected_version=0)) == 1
    assert proxy.replies_lost == 1
    assert await store.messages(TENANT, new.id) == (said,)


@pytest.mark.parametrize("outage", ["cut", "hang"])
async def test_an_unreachable_redis_is_told_within_the_deadline(
    store: RedisSessionStore, redis_client: RedisClient, proxy: Proxy, outage: str
) -> None:
    await redis_client.call("PING")
    await getattr(proxy, outage)()
    began = asyncio.get_running_loop().time()
    await unavailable(store)
    assert asyncio.get_running_loop().time() - began < ANSWER_SECONDS + 0.5
    await proxy.heal()
    await eventually_async(lambda: reached(redis_client))


async def test_a_full_redis_is_told(store: RedisSessionStore, server: "redis.asyncio.Redis") -> None:
    await server.config_set("maxmemory", 1)
    assert "maxmemory" in str(await unavailable(store))


async def test_a_redis_that_is_no_primary_any_more_is_told(
    store: RedisSessionStore, server: "redis.asyncio.Redis"
) -> None:
    await server.replicaof("127.0.0.1", "1")
    assert "ReadOnlyError" in str(await unavailable(store))
    await server.replicaof("NO", "ONE")
    await store.create(TENANT, conversation())


async def test_the_loss_and_the_return_of_redis_are_logged_once(
    store: RedisSessionStore, redis_client: RedisClient, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    await redis_client.call("PING")
    assert not caplog.records
    await proxy.cut()
    for _ in range(3):
        await unavailable(store)
    await proxy.heal()
    await redis_client.call("PING")
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "Redis cannot be used",
        "Redis can be used again",
    ]


async def test_a_storm_of_cancelled_callers_mixes_no_replies_and_leaks_no_connection(
    store: RedisSessionStore, server: "redis.asyncio.Redis"
) -> None:
    """Each caller has its own conversation, named after it; whatever it gets must be its own."""
    chance = random.Random(7)  # noqa: S311  # a storm that can be repeated
    mine = [conversation(f"user {index}") for index in range(40)]
    for new in mine:
        await store.create(TENANT, new)
    wrong: list[str] = []

    async def call(new: Conversation) -> None:
        match chance.randrange(3):
            case 0:
                if (await store.get(TENANT, new.id)).user_id != new.user_id:
                    wrong.append("record")
            case 1:
                kept = await store.messages(TENANT, new.id)
                wrong.extend("message" for found in kept if found.content != new.user_id)
            case _:
                await store.append(
                    TENANT, new.id, Append((message(new.user_id or ""),), now=NOW, expected_version=None)
                )

    for _ in range(50):
        calls = [asyncio.create_task(call(new)) for new in mine]
        await asyncio.sleep(chance.random() * 0.01)  # calls are cancelled at any moment
        for task in calls:
            if chance.random() < 0.7:
                task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert not wrong
    async with asyncio.timeout(2):
        for new in mine:
            assert (await store.get(TENANT, new.id)).user_id == new.user_id
    assert len(await server.client_list()) <= CONNECTIONS + 1


async def test_what_is_no_id_never_reaches_redis(store: RedisSessionStore, proxy: Proxy) -> None:
    await proxy.cut()
    with pytest.raises(ChatError) as caught:
        await store.get(TENANT, "}:*")
    assert caught.value.code is Code.CONVERSATION_NOT_FOUND


@pytest.mark.feature(37)
async def test_a_redis_that_may_evict_is_refused_until_it_no_longer_does(
    store: RedisSessionStore, redis_client: RedisClient, server: "redis.asyncio.Redis"
) -> None:
    await redis_client.check()
    await server.config_set("maxmemory-policy", "volatile-lru")
    with pytest.raises(ChatError) as caught:
        await redis_client.check()
    assert caught.value.detail == "Redis may evict keys (maxmemory-policy volatile-lru); set it to noeviction"
    await unavailable(store)
    await server.config_set("maxmemory-policy", "noeviction")
    await redis_client.check()
    await store.create(TENANT, conversation())


@pytest.mark.parametrize("topology", [*TOPOLOGIES, *RESTRICTED])
async def test_every_topology_says_what_it_evicts(topologies: Topologies, topology: str) -> None:
    async with open_redis(topologies(topology), "tests", "chat") as redis_client:
        assert await redis_client.check() is None


async def test_a_place_in_a_line_that_is_not_kept_is_lost(
    store: RedisSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "TICKET_SECONDS", 0.2)
    new = conversation()
    await store.create(TENANT, new)
    assert await store.enqueue(TENANT, new.id, "died") == 0
    assert await store.enqueue(TENANT, new.id, "waits") == 1
    began = monotonic()

    async def first() -> bool:
        return await store.enqueue(TENANT, new.id, "waits") == 0

    await eventually_async(first, seconds=2)
    assert monotonic() - began > 0.1
