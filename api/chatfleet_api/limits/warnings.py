"""Budgets of which most is used: which they are, and how one pod alone makes each known, once for its period."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

import msgspec

from chatfleet_api.domain.quota import BUDGETS, FLEET, Demand, qualified
from chatfleet_api.limits.verdict import SECOND, Left
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.webhooks.event import Notice
from chatfleet_api.webhooks.queue import NOTIFYING, notice_keys, packed

NEAR_PERCENT: Final = 80
"""Of a budget, used or reserved, from which on it is nearly exhausted."""

WARN: Final = (
    NOTIFYING
    + """
local known = redis.call('GET', KEYS[1])
if known and known ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if #KEYS > 1 then notify(2, cmsgpack.unpack(ARGV[3])) end
return 1
"""
)
"""Keys: the flag, then those of `notify`. Arguments: the sighting, the milliseconds until the reset, the notice.

Returns whether this sighting is the first. A repeat of it, after a lost reply, returns the same, and queues nothing
again.
"""
_WARN: Final = WARN.strip().encode()
_pack: Final = msgspec.msgpack.Encoder().encode


class NearlyExhausted(NamedTuple):
    """A budget of which most is used or reserved."""

    tenant: str
    """Empty: it is that of the ChatDeployment."""
    meter: str
    unit: str
    """`usd`, in billionths of a US dollar, or `daily`, in tokens."""
    limit: int
    used: int
    seconds: float
    """Until it resets."""

    @property
    def scope(self) -> str:
        """Whose it is: `deployment`, `tenant`, `key` or `user`."""
        return self.meter.partition(":")[0]

    @property
    def name(self) -> str | None:
        """The key or the user."""
        _, *names = self.meter.split(":")[:-2]
        return unquote(names[0]) if names else None

    @property
    def period(self) -> str:
        """The day or the month."""
        return self.meter.rpartition(":")[2]

    @property
    def key(self) -> str:
        """Its name among all tenants' for this period. Another limit is another budget."""
        return f"{qualified(self.tenant, self.meter)}:warned:{self.limit}"


def nearly_exhausted(tenant: str, demands: Sequence[Demand], left: Sequence[Left]) -> list[NearlyExhausted]:
    """Return the budgets of a request of which most is used, after a decision that left so much of each meter."""
    return [
        NearlyExhausted(
            "" if demand.meter.startswith(f"{FLEET}:") else tenant,
            demand.meter,
            demand.unit,
            demand.limit,
            demand.limit - each.remaining,
            demand.interval / SECOND,
        )
        for demand, each in zip(demands, left, strict=True)
        if demand.unit in BUDGETS and demand.limit and 100 * each.remaining <= (100 - NEAR_PERCENT) * demand.limit
    ]


async def warn(redis: RedisClient, budget: NearlyExhausted, sighting: str, notice: Notice | None) -> bool:
    """Queue a notice for webhooks unless an earlier sighting has; returns whether this one did. Raises `ChatError`.

    `sighting` is a name that no other sighting of the fleet has; a repeat of the call has the same.
    """
    keys = [warned_key(redis, budget), *([] if notice is None else notice_keys(redis, notice))]
    milliseconds = max(round(budget.seconds * 1000), 1)
    queued = b"" if notice is None else _pack(packed(notice))
    return bool(await redis.call("EVAL", _WARN, len(keys), *keys, sighting, milliseconds, queued))


def warned_key(redis: RedisClient, budget: NearlyExhausted) -> str:
    """Return the key that is there once a budget was made known."""
    return redis.shared_key(budget.key)
