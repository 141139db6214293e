"""The scripts of Redis that decide for the whole fleet, by Redis' own time, and the words that go in and out. Pure.

`RESERVE` decides about all meters of a request in one call: it takes something of each, or nothing of any. What a
request took is kept beside the meters, under the name of its lease, until `SETTLE`: so each may come twice. All keys
of a ChatDeployment share a slot of a cluster. A new kind of meter is a branch of both scripts.

Each meter is 4 words of a text: the unit's first letter, the limit, the interval in microseconds, and the cost.
`r`, `t`  requests and tokens: a text, the time at which all that was taken is back (GCRA, as in `buckets.py`)
`s`       streams: a sorted set of leases, each with the time at which it ends unless it is renewed
`u`, `d`  budgets of money and tokens: a whole number, the sum of what is used and what is reserved, with an end
"""

from collections.abc import Sequence
from typing import Final

from chatfleet_api.domain.quota import Demand
from chatfleet_api.limits.buckets import KEEP_SUMS, LONGEST_DEBT
from chatfleet_api.limits.verdict import SLACK, STREAM_WAIT, Left, Verdict
from chatfleet_api.redis.connect import Command

_METERS: Final = """
local meters = {}
for part in string.gmatch(ARGV[#ARGV], '%S+') do meters[#meters + 1] = part end
"""
"""One text, and not an argument for each number: a client takes longer to write 30 short arguments than one."""
_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""
_KEEP: Final = f"""
local function keep(key, at)
  if at > now then
    redis.call('SET', key, string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000))
  else
    redis.call('DEL', key)
  end
end
local function read(key)
  return math.min(tonumber(redis.call('GET', key) or now), now + {LONGEST_DEBT})
end
"""
"""A clock that went back, after a failover, must not stop anyone for longer than a limit may."""

RESERVE: Final = f"""{_NOW}{_KEEP}{_METERS}
local known = redis.call('GET', KEYS[1])
if known then return known end
local lease, lease_ms, hold_ms = ARGV[1], ARGV[2], ARGV[3]
local refused, wait, after = 0, 0, {{}}
for i = 2, #KEYS do
  local at = 4 * i - 7
  local kind, limit = meters[at], tonumber(meters[at + 1])
  local interval, cost = tonumber(meters[at + 2]), tonumber(meters[at + 3])
  local missing
  if kind == 's' then
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
    after[i] = redis.call('ZCARD', KEYS[i])
    missing = after[i] >= limit and {STREAM_WAIT} or 0
  elseif kind == 'u' or kind == 'd' then
    after[i] = tonumber(redis.call('GET', KEYS[i]) or 0)
    missing = after[i] + cost > limit and interval or 0
  else
    after[i] = math.max(read(KEYS[i]), now)
    missing = after[i] + cost * interval - now - limit * interval
  end
  if missing > math.max(wait, {SLACK}) then refused, wait = i - 1, missing end
end
local reply = {{refused, string.format('%.0f', wait)}}
for i = 2, #KEYS do
  local at = 4 * i - 7
  local kind, limit = meters[at], tonumber(meters[at + 1])
  local interval, cost = tonumber(meters[at + 2]), tonumber(meters[at + 3])
  local left, reset = nil, 0
  if kind == 's' then
    if refused == 0 then
      redis.call('ZADD', KEYS[i], now + lease_ms * 1000, lease)
      redis.call('PEXPIRE', KEYS[i], lease_ms)
      after[i] = after[i] + 1
    end
    left = limit - after[i]
  elseif kind == 'u' or kind == 'd' then
    if refused == 0 then
      after[i] = after[i] + cost
      local kept_ms = math.ceil((interval + {KEEP_SUMS}) / 1000)
      redis.call('SET', KEYS[i], string.format('%.0f', after[i]), 'PX', kept_ms)
    end
    left, reset = limit - after[i], interval
  else
    if refused == 0 then
      after[i] = after[i] + cost * interval
      keep(KEYS[i], after[i])
    end
    reset = after[i] - now
    left = math.floor(limit - reset / interval + 1e-6)
  end
  reply[#reply + 1] = string.format('%.0f %.0f %.0f', math.max(left, 0), reset, after[i])
end
reply = table.concat(reply, ' ')
if refused == 0 then redis.call('SET', KEYS[1], reply, 'PX', hold_ms) end
return reply
"""
"""Keys: the hold, then the meters. Arguments: lease, its milliseconds, those of the hold, the meters."""

SETTLE: Final = f"""{_NOW}{_KEEP}{_METERS}
local lease, hold_ms = ARGV[1], tonumber(ARGV[2])
local hold = redis.call('GET', KEYS[1])
local parts = {{}}
for part in string.gmatch(hold or '', '%S+') do parts[#parts + 1] = tonumber(part) end
for i = 2, #KEYS do
  local at = 4 * i - 7
  local kind, interval = meters[at], tonumber(meters[at + 1])
  local cost, spent = tonumber(meters[at + 2]), tonumber(meters[at + 3])
  if kind == 's' then
    redis.call('ZREM', KEYS[i], lease)
  elseif kind == 'u' or kind == 'd' then
    local sum = redis.call('GET', KEYS[i])
    if sum and hold and hold ~= 'settled' then
      redis.call('SET', KEYS[i], string.format('%.0f', sum + spent - cost), 'KEEPTTL')
    end
  elseif hold and hold ~= 'settled' then
    local more = (spent - cost) * interval
    if more > 0 then
      keep(KEYS[i], math.min(math.max(read(KEYS[i]), now) + more, now + {LONGEST_DEBT}))
    elseif more < 0 then
      local own = math.max(parts[3 * i - 1] - now, 0)
      keep(KEYS[i], read(KEYS[i]) - math.min(-more, own))
    end
  elseif hold_ms > 0 and not hold then
    keep(KEYS[i], math.min(math.max(read(KEYS[i]), now) + spent * interval, now + {LONGEST_DEBT}))
  end
end
if hold_ms > 0 then redis.call('SET', KEYS[1], 'settled', 'PX', hold_ms) else redis.call('DEL', KEYS[1]) end
return 1
"""
"""Keys: the hold, then the meters. Arguments: lease; of a request that a pod alone let pass, the milliseconds to
remember that it was charged, else 0; then the meters, each with what was spent."""

RENEW: Final = f"""{_NOW}
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1] * 1000, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""
"""Key: a meter of streams. Arguments: the milliseconds of a lease, then leases, also those that Redis has lost."""

_RESERVE, _SETTLE, _RENEW = (text.strip().encode() for text in (RESERVE, SETTLE, RENEW))


def reserve(keys: Sequence[str], lease: str, demands: Sequence[Demand], *, lease_ms: int, hold_ms: int) -> Command:
    """Return the call of `RESERVE` for `keys`, that of the hold first."""
    meters = " ".join([f"{each.unit[0]} {each.limit} {each.interval!r} {each.cost}" for each in demands])
    return ("EVAL", _RESERVE, len(keys), *keys, lease, lease_ms, hold_ms, meters)


def settle(keys: Sequence[str], lease: str, demands: Sequence[Demand], spent: Sequence[int], hold_ms: int) -> Command:
    """Return the call of `SETTLE`."""
    meters = " ".join(
        [f"{each.unit[0]} {each.interval!r} {each.cost} {used}" for each, used in zip(demands, spent, strict=True)]
    )
    return ("EVAL", _SETTLE, len(keys), *keys, lease, hold_ms, meters)


def renew(key: str, leases: Sequence[str], *, lease_ms: int) -> Command:
    """Return the call of `RENEW`."""
    return ("EVAL", _RENEW, 1, key, lease_ms, *leases)


def verdict(reply: bytes) -> Verdict:
    """Read the reply to `RESERVE`."""
    words = reply.split()
    refused = int(words[0])
    left = [Left(int(remaining), float(reset)) for remaining, reset in zip(words[2::3], words[3::3], strict=True)]
    return Verdict(refused - 1 if refused else None, float(words[1]), tuple(left))
