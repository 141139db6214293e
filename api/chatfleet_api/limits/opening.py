"""Opens the limiter of a pod."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple

from uuid_utils import uuid7

from chatfleet_api.domain.key_limits import LimitsOfKeys
from chatfleet_api.domain.live import Live
from chatfleet_api.limits.limiter import Limiter
from chatfleet_api.limits.meters import RedisMeters
from chatfleet_api.limits.terms import Terms
from chatfleet_api.limits.together import Together
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_contract.runtime import RuntimeConfig

LIVES: Final = 4
"""Pods that a run may have: the first, and as many as take it over."""
MARGIN_SECONDS: Final = 120


class Limiting(NamedTuple):
    """The limiter, and its part in the limits of the fleet; None without Redis."""

    limiter: Limiter
    together: Together | None


def open_terms(config: Live[RuntimeConfig], prices: Live[PriceBook], keys: Callable[[], LimitsOfKeys]) -> Terms:
    """Return what is decided by; `keys` are the limits that single API keys have."""
    return Terms(config.map(lambda live: live.limits), keys, prices, lambda: datetime.now(UTC))


@asynccontextmanager
async def open_limits(
    redis: RedisClient | None,
    config: Live[RuntimeConfig],
    terms: Terms,
    *,
    pods: Callable[[], int],
    clock: Callable[[], float],
) -> AsyncGenerator[Limiting, None]:
    """Yield the limiter; `pods` is the number of living pods as far as it is known."""

    def hold_seconds() -> int:
        return LIVES * config().streaming.max_stream_seconds + MARGIN_SECONDS

    together = None if redis is None else Together(RedisMeters(redis, hold_seconds), clock=clock)
    limiter = Limiter(terms, together, pods=pods, clock=clock, new_id=lambda: str(uuid7()))
    try:
        yield Limiting(limiter, together)
    finally:
        if together is not None:
            await together.aclose()
