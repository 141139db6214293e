"""The Redis that the contract tests share is real, and empty for each of them."""

import pytest
import redis


@pytest.mark.parametrize("test", ["first", "second"])
def test_each_test_starts_with_an_empty_redis(redis_url: str, test: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.dbsize() == 0
        client.set("left by", test)
        assert client.get("left by") == test
