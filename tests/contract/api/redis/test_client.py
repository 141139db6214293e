"""The URL of Redis in a file, as a mounted Secret: it may come late, and it may change."""

from pathlib import Path

import pytest
from redis import Redis

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.client import RedisClient, open_redis


async def unavailable(redis_client: RedisClient) -> bool:
    """Whether Redis cannot be used."""
    try:
        await redis_client.call("PING")
    except ChatError as error:
        return error.code is Code.STORAGE_UNAVAILABLE
    return False


async def test_a_url_that_comes_late_is_taken_up(tmp_path: Path, redis_url: str) -> None:
    file = tmp_path / "url"
    async with open_redis(file, "tests", "chat") as redis_client:
        before = await unavailable(redis_client)
        file.write_text("nonsense")
        wrong = await unavailable(redis_client)
        file.write_text(f"{redis_url}\n")

        assert (before, wrong) == (True, True)
        assert not await unavailable(redis_client)


async def test_operations_that_fail_are_counted(tmp_path: Path, redis_url: str) -> None:
    file = tmp_path / "url"
    async with open_redis(file, "tests", "chat") as redis_client:
        assert await unavailable(redis_client)
        assert redis_client.failures == 1
        file.write_text(redis_url)
        assert not await unavailable(redis_client)
        assert redis_client.failures == 1


async def test_a_new_password_is_taken_up(tmp_path: Path, redis_url: str) -> None:
    file = tmp_path / "url"
    file.write_text(redis_url)
    with Redis.from_url(redis_url) as admin:
        async with open_redis(file, "tests", "chat") as redis_client:
            assert not await unavailable(redis_client)
            admin.config_set("requirepass", "changed")
            try:
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                without = await unavailable(redis_client)
                file.write_text(redis_url.replace("redis://", "redis://:changed@"))

                assert without
                assert not await unavailable(redis_client)
            finally:
                admin.config_set("requirepass", "")


async def test_a_url_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="the URL of Redis must be") as refused:
        async with open_redis("http://:secret@nowhere", "tests", "chat"):
            pass
    assert "secret" not in str(refused.value)


MALFORMED = {
    b"http://:secret@nowhere": "the URL of Redis must be redis://",
    b"": "the URL of Redis must be redis://",
    b"redis://:secret@nowhere:99999": "the URL of Redis must be redis://",
    "redis://:secret@b\u00fccher:6379".encode(): "the URL of Redis must be redis://",
    b"redis://:secret\xff@nowhere": "the URL of Redis is not UTF-8",
}


@pytest.mark.parametrize(("content", "says"), MALFORMED.items())
async def test_a_malformed_url_in_a_file_is_reported_and_corrected_without_a_restart(
    tmp_path: Path, redis_url: str, content: bytes, says: str
) -> None:
    file = tmp_path / "url"
    file.write_bytes(content)
    async with open_redis(file, "tests", "chat") as redis_client:
        assert await unavailable(redis_client)
        problem = redis_client.url_problem() or ""
        file.write_text(redis_url)
        assert redis_client.url_problem() is None
        assert not await unavailable(redis_client)
        file.write_bytes(content)
        assert not await unavailable(redis_client)
        assert redis_client.url_problem() == problem
    assert problem.startswith(says)
    assert "secret" not in problem


async def test_a_url_that_may_come_yet_is_not_malformed(tmp_path: Path) -> None:
    async with open_redis(tmp_path / "url", "tests", "chat") as redis_client:
        assert redis_client.url_problem() is None
        assert await unavailable(redis_client)


@pytest.mark.parametrize(
    ("hurt", "heal", "words"),
    [
        pytest.param("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "read only replica", id="a replica"),
        pytest.param("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OutOfMemory", id="a full Redis"),
    ],
)
async def test_a_redis_that_answers_and_takes_no_writes_fails_the_check(
    redis_url: str, hurt: str, heal: str, words: str
) -> None:
    with Redis.from_url(redis_url) as admin:
        async with open_redis(redis_url, "tests", "chat") as redis_client:
            await redis_client.check()
            assert admin.keys() == []
            admin.execute_command(hurt)
            try:
                with pytest.raises(ChatError) as failed:
                    await redis_client.check()
            finally:
                admin.execute_command(heal)
            assert words in (failed.value.detail or "")
            await redis_client.check()
