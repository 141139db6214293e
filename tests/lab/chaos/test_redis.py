"""Redis in the harness: every topology can be killed, cut off and failed over, and does what Redis then does."""

from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ClusterDownError, RedisError

from harness.faults.toxics import BLACKHOLE
from harness.polling import eventually_async
from harness.redis.proxied import TOPOLOGIES, open_sentinel, open_single

KEY_OF_SLOT_0 = "3560"
"""Which the first server of a cluster keeps."""


@pytest.mark.parametrize("name", TOPOLOGIES)
async def test_a_killed_redis_comes_back_with_what_it_had(name: str, tmp_path: Path) -> None:
    async with TOPOLOGIES[name](tmp_path) as redis:
        server = await redis.primary()
        await server.command("SET", KEY_OF_SLOT_0, "kept")
        await server.command("CONFIG", "SET", "appendfsync", "always")
        await server.command("SET", KEY_OF_SLOT_0, "kept too")
        await server.kill()
        with pytest.raises(RedisError):
            await server.command("PING")
        await server.start()

        async def kept() -> bool:
            with suppress(ClusterDownError):  # a node that came back first asks the others
                return bool(await server.command("GET", KEY_OF_SLOT_0) == "kept too")
            return False

        await eventually_async(kept)


async def test_clients_reach_redis_only_by_way_of_its_proxy(tmp_path: Path) -> None:
    async with open_single(tmp_path) as redis, Redis.from_url(redis.url, socket_timeout=0.2, retry=None) as client:
        assert await client.ping()
        await redis.servers[0].proxy.set(BLACKHOLE)
        with pytest.raises(RedisError):
            await client.ping()
        assert await redis.servers[0].command("PING")


async def test_a_replica_that_is_parted_and_promoted_lacks_what_was_written_since(tmp_path: Path) -> None:
    async with open_sentinel(tmp_path) as redis:
        first = await redis.primary()
        await first.command("SET", "before", "kept")
        await redis.in_step()
        await redis.part()
        await first.command("SET", "since", "lost")
        await first.kill()
        await redis.promoted(first)
        second = await redis.primary()
        assert await second.command("MGET", "before", "since") == ["kept", None]


async def test_sentinels_promote_the_replica_when_asked(tmp_path: Path) -> None:
    async with open_sentinel(tmp_path) as redis:
        first = await redis.primary()
        await redis.promote()
        second = await redis.primary()
        assert second is not first
        assert (await second.command("ROLE"))[0] == "master"


async def test_sentinels_promote_the_replica_when_the_primary_is_out_of_reach(tmp_path: Path) -> None:
    async with open_sentinel(tmp_path) as redis:
        first = await redis.primary()
        await first.proxy.set(BLACKHOLE)

        async def promoted() -> bool:
            return await redis.primary() is not first

        await eventually_async(promoted)
