"""The steps of the store, in Redis' language. Each is atomic, and harmless when it arrives twice.

- `cache:entries`: a hash with a field for each answer, and `bytes`, what all of them take
- `cache:index`: a sorted set of these fields by the time (ms, of the server) at which the answer was kept
- `cache:counts`: a hash with `hits` and `misses`

All keys share a slot. Only commands that the ACL in docs/operations/redis.md has are called.
"""

from typing import Final

OVERHEAD: Final = 512
"""Bytes that an answer takes beside its own: its field in both keys, and what Redis keeps with them."""
SWEPT: Final = 1000
"""Most answers that one step removes because they are too old, or to make room, or looks at."""
COUNTS_SECONDS: Final = 30 * 24 * 3600
"""How long the counts are kept after the last look."""

_GROUND: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function drop(field)
  local answer = redis.call('HGET', KEYS[1], field)
  if answer then
    redis.call('HDEL', KEYS[1], field)
    redis.call('HINCRBY', KEYS[1], 'bytes', -#answer - OVERHEAD)
  end
  redis.call('ZREM', KEYS[2], field)
end
local function sweep(ttl)
  local old = redis.call('ZRANGE', KEYS[2], '-inf', now - ttl, 'BYSCORE', 'LIMIT', 0, SWEPT)
  for _, field in ipairs(old) do drop(field) end
end
""".replace("OVERHEAD", str(OVERHEAD)).replace("SWEPT", str(SWEPT))

FIND: Final = (
    _GROUND
    + """
local rank = redis.call('ZRANK', KEYS[2], ARGV[1])
local age = rank and now - tonumber(redis.call('ZRANGE', KEYS[2], rank, rank, 'WITHSCORES')[2])
local answer = age and age < tonumber(ARGV[2]) and redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[3], answer and 'hits' or 'misses', 1)
redis.call('EXPIRE', KEYS[3], ARGV[3])
return answer and {answer, math.max(age, 0)} or false
"""
)
"""Return an answer that is younger than so many milliseconds, with its age."""

KEEP: Final = (
    _GROUND
    + """
local field, answer, ttl, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
drop(field)
sweep(ttl)
local function taken() return tonumber(redis.call('HGET', KEYS[1], 'bytes') or 0) end
local dropped = 0
while taken() + #answer + OVERHEAD > most do
  if dropped == SWEPT then return end
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0)
  if #oldest == 0 then break end
  drop(oldest[1])
  dropped = dropped + 1
end
redis.call('HSET', KEYS[1], field, answer)
redis.call('HINCRBY', KEYS[1], 'bytes', #answer + OVERHEAD)
redis.call('ZADD', KEYS[2], now, field)
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('PEXPIRE', KEYS[2], ttl)
""".replace("OVERHEAD", str(OVERHEAD)).replace("SWEPT", str(SWEPT))
)
"""Keep an answer, and make room for it: first those that are too old go, then the oldest.

An answer that needs more room than one step makes, as after `maxBytes` was lowered, is not kept: the next goes on.
"""

STATE: Final = (
    _GROUND
    + """
sweep(tonumber(ARGV[1]))
local counts = redis.call('HMGET', KEYS[3], 'hits', 'misses')
local bytes = redis.call('HGET', KEYS[1], 'bytes')
return {redis.call('ZCARD', KEYS[2]), tonumber(bytes or 0), tonumber(counts[1] or 0), tonumber(counts[2] or 0)}
"""
)

CLEAR: Final = (
    _GROUND
    + """
local first, tenant, model, removed = tonumber(ARGV[1]), ARGV[2], ARGV[3], 0
local fields = redis.call('ZRANGE', KEYS[2], first, first + SWEPT - 1, 'REV')
for _, field in ipairs(fields) do
  local of_tenant, of_model = field:match('^(%x+):(%x+):')
  if (tenant == '' or tenant == of_tenant) and (model == '' or model == of_model) then
    drop(field)
    removed = removed + 1
  end
end
return {removed, #fields < SWEPT and -1 or first + #fields - removed}
""".replace("SWEPT", str(SWEPT))
)
"""Remove answers from a place on, newest first, so that what is kept meanwhile moves none of the rest out of sight.

Returns how many were removed, and the next place; -1 at the end.
"""
