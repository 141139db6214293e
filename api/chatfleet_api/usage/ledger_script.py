"""The step by which the sums of the ledger grow, in Redis' language.

It is a part of the script that ends a run that is logged (`runs/log/append_script.py`): the run ends and is counted in
one step, and no other way. Runs that are not logged are counted by `SETTLE`, whose batches are numbered, so that one
that arrives twice counts once.

- `usage:<tenant>:<day>`: a hash with a field for each row and counter, and `#`, the number of rows
- `usage-total:<day>`: a hash of the counters of all tenants
- `usage:<tenant>:conversation:<id>`: a hash of the counters of one conversation
- `usage-batch:<process>`: the number of the newest batch of a process
- `usage-open:<process>`: a hash of the answers under way that no log has (`open_answers.py`), by run
- `usage-swept:<process>`: a hash of those that other pods have counted because the process had died, by run

Money is in picodollars. All keys share a slot.
"""

from typing import Final
from urllib.parse import quote

import msgspec

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.usage.record import OTHER_USERS, Row, UsageRecord, rows_of
from chatfleet_api.usage.settlement import DAYS_KEPT, MAX_ROWS, Settlement

BATCH_SECONDS: Final = 7 * 24 * 3600
"""How long the newest batch of a process is remembered: longer than a pod waits for Redis to return."""

SETTLING: Final = """
local function count(key, prefix, counters, ttl)
  for i = 1, #counters, 2 do
    redis.pcall('HINCRBY', key, prefix .. counters[i], counters[i + 1]) -- a sum that is full must not keep a run open
  end
  redis.call('EXPIRE', key, ttl)
end
local function settle(first, settlement)
  local day, total, conversation = KEYS[first], KEYS[first + 1], KEYS[first + 2]
  local rows, kept, conversation_kept = unpack(settlement)
  for _, row in ipairs(rows) do
    local name, other, counters = unpack(row)
    if not redis.call('HGET', day, name .. 'requests') then
      if tonumber(redis.call('HGET', day, '#') or 0) >= MAX_ROWS then
        name = other
      else
        redis.call('HINCRBY', day, '#', 1)
      end
    end
    count(day, name, counters, kept)
    count(total, '', counters, kept)
    if conversation_kept > 0 then count(conversation, '', counters, conversation_kept) end
  end
end
""".replace("MAX_ROWS", str(MAX_ROWS))
"""Defines `settle`, which adds a settlement to the sums at three keys, of which the first is number `first`."""
SETTLE: Final = (
    SETTLING
    + """
local swept, opened, closed = tonumber(ARGV[1]), cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3])
local number, ttl, settlements = tonumber(ARGV[4]), ARGV[5], cmsgpack.unpack(ARGV[6])
local newest = redis.call('GET', KEYS[1])
if newest and tonumber(newest) >= number then return 0 end -- a repeat, after a lost reply
if #redis.call('HGETALL', KEYS[3]) / 2 ~= swept then return -1 end
redis.call('SET', KEYS[1], number, 'EX', ttl)
for i = 1, #opened, 2 do redis.call('HSET', KEYS[2], opened[i], opened[i + 1]) end
if #opened > 0 then redis.call('EXPIRE', KEYS[2], ttl) end
for _, run in ipairs(closed) do redis.call('HDEL', KEYS[2], run) end
for i, settlement in ipairs(settlements) do settle(3 * i + 1, settlement) end
return 1
"""
)
"""Add a numbered batch of settlements, whose keys follow those of the batch and of open and swept answers.

Returns -1, and adds nothing, when more answers were swept than the process knows of.
"""
SWEEP: Final = (
    SETTLING
    + """
local sweeper, runs, settlements = ARGV[2], cmsgpack.unpack(ARGV[3]), cmsgpack.unpack(ARGV[4])
local counted = {}
for i, run in ipairs(runs) do
  if redis.call('HGET', KEYS[1], run) == ARGV[4 + i] then
    redis.call('HDEL', KEYS[1], run)
    local keys = {KEYS[3 * i], KEYS[3 * i + 1], KEYS[3 * i + 2]}
    redis.call('HSET', KEYS[2], run, cmsgpack.pack({keys, settlements[i], sweeper}))
    settle(3 * i, settlements[i])
  end
  local swept = redis.call('HGET', KEYS[2], run) -- as well if this is a repeat, after a lost reply
  if swept and cmsgpack.unpack(swept)[3] == sweeper then counted[#counted + 1] = i end
end
redis.call('EXPIRE', KEYS[2], ARGV[1])
return counted
"""
)
"""Count answers of a process that has died, each as long as it is still as it was read.

Returns the numbers of those, from 1, that the sweeper has counted, now or by a call whose reply was lost.
"""

_name: Final = msgspec.json.Encoder().encode


def settlement_of(redis: RedisClient, record: UsageRecord, *, conversation_seconds: int) -> Settlement:
    """Return what `record` adds; the sums of its conversation are kept as long as that."""
    rows = [
        (
            row_name(row),
            row_name(row._replace(user=OTHER_USERS)),
            [part for name, number in counters.items() for part in (name, str(number))],
        )
        for row, counters in rows_of(record)
    ]
    conversation = conversation_seconds if record.conversation else 0
    keys = (
        day_key(redis, record.tenant, record.day),
        total_key(redis, record.day),
        conversation_key(redis, record.tenant, record.conversation),
    )
    return Settlement(keys, (rows, DAYS_KEPT * 24 * 3600, conversation))


def row_name(row: Row) -> str:
    """Return the beginning of the fields of a row."""
    return _name(row).decode()


def day_key(redis: RedisClient, tenant: str, day: str) -> str:
    return redis.shared_key(f"usage:{quote(tenant, safe='')}:{day}")


def total_key(redis: RedisClient, day: str) -> str:
    return redis.shared_key(f"usage-total:{day}")


def conversation_key(redis: RedisClient, tenant: str, conversation: str) -> str:
    return redis.shared_key(f"usage:{quote(tenant, safe='')}:conversation:{conversation}")


def open_key(redis: RedisClient, process: str) -> str:
    return redis.shared_key(f"usage-open:{process}")


def swept_key(redis: RedisClient, process: str) -> str:
    return redis.shared_key(f"usage-swept:{process}")


def batch_key(redis: RedisClient, process: str) -> str:
    return redis.shared_key(f"usage-batch:{process}")
