"""Answers that have ended for users who may be inactive, in Redis: held until their users are, or return.

- `inactive:due`: a sorted set of users, by the time (ms) at which one is looked at next
- `inactive:held`: a hash of what is held by user, and `#`, how much that is of all users
- `inactive:seen:<user>`: when a user was last seen (ms), for as long as that matters

A user is the tenant and the user, as `owner_of` writes it. What is held comes by the step that ends the answer
(`webhooks/queue.py`), and goes to the queue of its webhook once its user was not seen for so long; a request or an open
stream of the user after the end drops it. All keys share a slot with the queues.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.webhooks.event import USERS, Held

MAX_HELD: Final = 10_000
"""Events that are held; further ones are dropped."""
MAX_HELD_OF_USER: Final = 20
SETTLE_MS: Final = 2_000
"""From the end of an answer, in which other pods bring who has read it."""
KEPT_SECONDS: Final = 86_400
"""How long keys are kept to which nothing comes: longer than a user may have to be inactive."""
LOOK_USERS: Final = 100
"""Users that are looked at in one step."""

_NOW: Final = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""
_KEEP: Final = """
local function keep(due, held, user, events, at, before)
  redis.call('HINCRBY', held, '#', #events - before)
  if #events > 0 then
    redis.call('HSET', held, user, cmsgpack.pack(events))
    redis.call('ZADD', due, string.format('%.0f', at), user)
  else
    redis.call('HDEL', held, user)
    redis.call('ZREM', due, user)
  end
  redis.call('EXPIRE', due, KEPT_SECONDS)
  redis.call('EXPIRE', held, KEPT_SECONDS)
end
""".replace("KEPT_SECONDS", str(KEPT_SECONDS))

HOLDING: Final = (
    _NOW
    + _KEEP
    + """
local function hold(due, held, id, group, what, wait)
  local user, slack, named = unpack(what)
  local hooks = {}
  for _, hook in ipairs(named) do
    if hook[1] ~= 'USERS' then
      hooks[#hooks + 1] = hook
    elseif wait then
      hooks[#hooks + 1] = {hook[1], wait * 1000, hook[3]}
    end
  end
  if #hooks == 0 then return end
  local known = redis.call('HGET', held, user)
  local events = known and cmsgpack.unpack(known) or {}
  for _, each in ipairs(events) do
    if each[1] == id then return end
  end
  if #events >= MAX_OF_USER or tonumber(redis.call('HGET', held, '#') or 0) >= MAX_HELD then return end
  local now = now_ms()
  events[#events + 1] = {id, group, string.format('%.0f', now - slack), hooks}
  keep(due, held, user, events, now + SETTLE_MS, #events - 1)
end
""".replace("USERS", USERS)
    .replace("MAX_OF_USER", str(MAX_HELD_OF_USER))
    .replace("MAX_HELD", str(MAX_HELD))
    .replace("SETTLE_MS", str(SETTLE_MS))
)
"""Defines `hold`, which holds an event of an answer that ends now; `slack`: it may have ended so much earlier (ms).

`wait`: the seconds after which the user of the answer has its own webhook notified, if it has one for that.
"""

SEEN: Final = (
    _NOW
    + _KEEP
    + """
local now, due, held = now_ms(), KEYS[1], KEYS[2]
for i, each in ipairs(cmsgpack.unpack(ARGV[2])) do
  local user, at = each[1], now - each[2]
  if at > tonumber(redis.call('GET', KEYS[i + 2]) or 0) then
    redis.call('SET', KEYS[i + 2], string.format('%.0f', at), 'PX', ARGV[1])
  end
  local known = redis.call('HGET', held, user)
  if known then
    local events, later = cmsgpack.unpack(known), {}
    for _, event in ipairs(events) do
      if tonumber(event[3]) > at then later[#later + 1] = event end
    end
    if #later < #events then keep(due, held, user, later, now, #events) end
  end
end
return 1
"""
)
"""Notes that users were seen, and drops what is held of answers that had ended before.

Keys: `due`, `held`, then `seen` of each user. Arguments: how long that matters (ms), then the users, each with how long
ago (ms) it was seen.
"""

DUE: Final = (
    _NOW
    + f"""
return redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', now_ms()), 'BYSCORE', 'LIMIT', 0, {LOOK_USERS})
"""
)
RELEASE: Final = """
local due, held, user = KEYS[2], KEYS[3], ARGV[2]
local names = cmsgpack.unpack(ARGV[3])
local known = redis.call('HGET', held, user)
if not known then
  redis.call('ZREM', due, user)
  return {}
end
local now, seen = now_ms(), tonumber(redis.call('GET', KEYS[4]) or 0)
local events, rest, next_at, released = cmsgpack.unpack(known), {}, nil, {}
for _, event in ipairs(events) do
  local id, group, ended, hooks = event[1], event[2], tonumber(event[3]), {}
  for _, hook in ipairs(seen < ended and event[4] or {}) do
    local at = math.max(ended + SETTLE_MS, seen + hook[2])
    if names[hook[1]] and at > now then
      hooks[#hooks + 1] = hook
      next_at = math.min(next_at or at, at)
    elseif names[hook[1]] then
      if hook[1] == 'USERS' then
        notify(names[hook[1]], {id, group, {}, user, hook[3], true})
      else
        notify(names[hook[1]], {id, group, {hook[3]}, false})
      end
      released[id] = hook[3]
    end
  end
  if #hooks > 0 then rest[#rest + 1] = {id, group, event[3], hooks} end
end
keep(due, held, user, rest, next_at or now, #events)
local reply = {}
for _, entry in pairs(released) do reply[#reply + 1] = entry end
return reply
""".replace("SETTLE_MS", str(SETTLE_MS)).replace("USERS", USERS)
"""Queues what is due of a user, and returns an entry of each event that it has queued.

Keys: the lease, `due`, `held`, `seen` of the user, then the queue and the events of each webhook. Arguments: who has
the lease, the user, and for each webhook by its name the number of its first key.
"""

_pack: Final = msgspec.msgpack.Encoder().encode


PackedHeld: TypeAlias = tuple[str, int, Sequence[tuple[str, int, str]]]


def held_keys(redis: RedisClient) -> list[str]:
    """Return the keys of `hold`."""
    return [_key(redis, "due"), _key(redis, "held")]


def packed_held(held: Held, slack_ms: int) -> PackedHeld:
    """Return what is held as `hold` takes it."""
    hooks = [(name, seconds * 1000, entry) for name, seconds, entry in held.entries]
    return held.owner, slack_ms, hooks


async def note_seen(redis: RedisClient, users: Sequence[tuple[str, int]], *, keep_ms: int) -> None:
    """Note that each user was seen so many milliseconds ago; raises `ChatError`. A repeat changes nothing."""
    keys = [*held_keys(redis), *(seen_key(redis, user) for user, _ in users)]
    await redis.call("EVAL", SEEN, len(keys), *keys, keep_ms, _pack(users))


async def due_users(redis: RedisClient) -> list[str]:
    """Return users that are to be looked at now; raises `ChatError`."""
    found = await redis.call("EVAL", DUE, 1, held_keys(redis)[0])
    return [each.decode() for each in found]


def seen_key(redis: RedisClient, owner: str) -> str:
    """Return the key of when a user was last seen."""
    return _key(redis, f"seen:{owner}")


def _key(redis: RedisClient, kind: str) -> str:
    return redis.shared_key(f"inactive:{kind}")
