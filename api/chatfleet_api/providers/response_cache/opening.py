"""Opens the response cache of a pod."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from chatfleet_api.domain.live import Live
from chatfleet_api.providers.response_cache.cache import ResponseCache
from chatfleet_api.providers.response_cache.store import RedisAnswers
from chatfleet_api.redis.client import RedisClient
from chatfleet_contract.spec.cache import Cache


@asynccontextmanager
async def open_response_cache(
    redis: RedisClient | None, settings: Live[Cache]
) -> AsyncGenerator[ResponseCache | None, None]:
    """Yield the cache, which uses Redis only while it is on; None: there is no Redis to share answers in."""
    if redis is None:
        yield None
        return
    cache = ResponseCache(RedisAnswers(redis), settings, clock=time.monotonic)
    async with cache.open():
        yield cache
