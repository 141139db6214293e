"""CPU of the limits and the budget of one request: `python -m chatfleet_lab.bench.limits`.

It is what a pod takes for reserving before an answer and settling after it, in this process; Redis is another one. That
of the limits is measured with the replies that Redis gave once. What Redis' client takes is measured with the same two
commands, made once and sent as often; the whole, with both, has what they add to each other in waiting.
"""

import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple
from unittest.mock import patch

import uvloop
from uuid_utils import uuid7

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.key_limits import LimitsOfKeys
from chatfleet_api.domain.principal import Principal
from chatfleet_api.limits.limiter import Limiter
from chatfleet_api.limits.meters import RedisMeters
from chatfleet_api.limits.terms import Terms
from chatfleet_api.limits.together import Together
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Budget, Budgets, Limit
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.pods.live import fixed
from harness.redis.server import redis_server

LIMIT_MICROSECONDS: Final = 50.0
"""Of CPU for each request, beyond Redis' client, as promised."""
REQUESTS: Final = 1_000
ROUNDS: Final = 7
ALL: Final = Limit(requests_per_minute=1_000_000, tokens_per_minute=1_000_000_000, concurrent_streams=1_000_000)
LIMITS: Final = {
    "one limit": Limits(per_tenant=Limit(requests_per_minute=1_000_000)),
    "limits of tenant and key, and a budget": Limits(
        per_tenant=ALL, per_key=ALL, budgets=Budgets(per_tenant=Budget(usd_per_day="999999"))
    ),
}
CALLER: Final = Principal("shop", "key:web", user="ann")
PRICING: Final = Pricing(input_per_million_tokens="1", output_per_million_tokens="10")
CONFIG: Final = RuntimeConfig(
    deployment="bench",
    namespace="bench",
    providers=(RuntimeProvider(name="p", type=ProviderType.SCRIPTED),),
    models=(Model(name="m", provider="p", model="m", pricing=PRICING),),
)
NO_KEYS: Final[LimitsOfKeys] = {}
USED: Final = Usage(input_tokens=100, output_tokens=100)


class Cost(NamedTuple):
    """Microseconds of CPU for each request."""

    limits: float
    bare: float
    """Of the commands alone, through Redis' client."""
    whole: float


async def measure(*, requests: int = REQUESTS, rounds: int = ROUNDS) -> dict[str, Cost]:
    """Return the cost by what is limited: the least of the rounds, since others only add."""
    with TemporaryDirectory() as folder, redis_server(Path(folder)) as url:
        return {name: await _cost(url, limits, requests, rounds) for name, limits in LIMITS.items()}


async def _cost(url: str, limits: Limits, requests: int, rounds: int) -> Cost:
    async with open_redis(url, "bench", "bench") as redis:
        limiter = _limiter(redis, limits)

        async def limited() -> None:
            reserved = await limiter.reserve(CALLER, "m", lambda: 200, 100)
            if reserved is None:
                raise RuntimeError("nothing was limited")
            await limiter.settle(CALLER.tenant, reserved[0], USED)

        with patch.object(redis, "call", wraps=redis.call) as noted:
            await limited()
        first, second = (call.args for call in noted.call_args_list)
        replies = cycle([await redis.call(*first), await redis.call(*second)])

        async def replied(*_: str | bytes | int) -> object:
            return next(replies)

        async def bare() -> None:
            await redis.call(*first)
            await redis.call(*second)

        rows = []
        for _ in range(rounds):  # in turn: what else the machine does is in all of them
            with patch.object(redis, "call", replied):
                own = await _microseconds(limited, requests)
            rows.append((own, await _microseconds(bare, requests), await _microseconds(limited, requests)))
        return Cost(*map(min, zip(*rows, strict=True)))


async def _microseconds(request: Callable[[], Awaitable[None]], requests: int) -> float:
    began = time.process_time()
    for _ in range(requests):
        await request()
    return (time.process_time() - began) / requests * 1e6


def _limiter(redis: RedisClient, limits: Limits) -> Limiter:
    book = PriceBook.of(CONFIG)
    terms = Terms(fixed(limits), lambda: NO_KEYS, fixed(book), lambda: datetime.now(UTC))
    together = Together(RedisMeters(redis, lambda: 600), clock=time.monotonic)
    return Limiter(terms, together, pods=lambda: 1, clock=time.monotonic, new_id=lambda: str(uuid7()))


def main() -> None:
    """Print the figures."""
    for name, cost in uvloop.run(measure()).items():
        sys.stdout.write(
            f"{name}: {cost.limits:.0f} µs of CPU for each request, and {cost.bare:.0f} µs of Redis' client, together"
            f" {cost.whole:.0f} µs; limit {LIMIT_MICROSECONDS:.0f}\n"
        )


if __name__ == "__main__":
    main()
