"""The queue of each webhook in Redis: its keys, and the scripts that are its steps.

- `webhook:<name>:queue`: a sorted set of the events to be sent, as `<group> <id>`, by the order in which they came
- `webhook:<name>:dead`: a sorted set of those that were given up, by the time (ms) of that: the dead letters
- `webhook:<name>:events`: a hash of all these events by id, `#` (how many ever came) and `dropped` (how many found the
  queue full)
- `webhook-sender`: the lease of the pod that sends
- `webhook-users`: a hash of the webhooks of users, `#`, how many there are, and `wait:<user>`, the seconds after which
  a user who has left has its webhook notified

The webhooks of users have one queue, of the name `@users`, whose groups are the users: the events of each arrive in
order. Its hash also has `n:<user>`, how many events of a user wait.

All keys share a slot with the sums of the ledger. An event of a run that is logged is queued by the script that ends
the run (`runs/log/append_script.py`): in one step, and no other way.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.redis.lease import OURS
from chatfleet_api.webhooks.event import USERS, Notice, QueuedEvent
from chatfleet_api.webhooks.inactivity import HOLDING, PackedHeld, held_keys, packed_held

MAX_QUEUED: Final = 10_000
"""Events of one webhook that wait; further ones are dropped, and counted."""
MAX_DEAD: Final = 1_000
"""Dead letters of one webhook; the oldest go first."""
KEPT_SECONDS: Final = 30 * 24 * 3600
"""How long a queue is kept to which no event comes, such as that of a webhook that was removed."""
MAX_QUEUED_OF_USER: Final = 100
"""Events of one user that wait, so that a receiver that is down fills no queue of all users."""
LATE_MS: Final = 2_000
"""How long before it is queued an answer may have ended, where its end does not queue its event."""
WINDOW: Final = 500
"""First events of a queue among which those that are due are looked for."""

NOTIFYING: Final = HOLDING + (
    """
local function notify(first, notice)
  local id, group, entries, owner, own, held = unpack(notice)
  for i, entry in ipairs(entries) do
    local queue, events = KEYS[first + 2 * i - 2], KEYS[first + 2 * i - 1]
    if not redis.call('HGET', events, id) then
      if redis.call('ZCARD', queue) >= MAX_QUEUED then
        redis.call('HINCRBY', events, 'dropped', 1)
      else
        redis.call('HSET', events, id, entry)
        redis.call('ZADD', queue, redis.call('HINCRBY', events, '#', 1), group .. ' ' .. id)
      end
    end
    redis.call('EXPIRE', queue, KEPT_SECONDS)
    redis.call('EXPIRE', events, KEPT_SECONDS)
  end
  local at = first + 2 * #entries
  local due, released = at + (owner and 3 or 0), held == true
  local wait = owner and redis.call('HGET', KEYS[at + 2], 'wait:' .. owner)
  if held and not released then hold(KEYS[due], KEYS[due + 1], id .. '_inactive', group, held, wait) end
  if not owner or wait and not released then return end
  local queue, events, users = KEYS[at], KEYS[at + 1], KEYS[at + 2]
  if redis.call('HGET', users, owner) and not redis.call('HGET', events, id) then
    local waiting = redis.call('HINCRBY', events, 'n:' .. owner, 1)
    if waiting > MAX_OF_USER or redis.call('ZCARD', queue) >= MAX_QUEUED then
      redis.call('HINCRBY', events, 'n:' .. owner, -1)
      redis.call('HINCRBY', events, 'dropped', 1)
    else
      redis.call('HSET', events, id, own)
      redis.call('ZADD', queue, redis.call('HINCRBY', events, '#', 1), owner .. ' ' .. id)
    end
    redis.call('EXPIRE', queue, KEPT_SECONDS)
    redis.call('EXPIRE', events, KEPT_SECONDS)
  end
end
""".replace("MAX_QUEUED", str(MAX_QUEUED))
    .replace("MAX_OF_USER", str(MAX_QUEUED_OF_USER))
    .replace("KEPT_SECONDS", str(KEPT_SECONDS))
)
"""Defines `notify`, which queues an event at pairs of keys, of which the first is number `first`.

With a user it has three keys more: of the queue of the users, its events, and their webhooks. With what is held until
its user is inactive it has two more, those of `hold`. With `true` in the place of that, it was held, and its user is.
"""
NOTIFY: Final = NOTIFYING + "notify(1, cmsgpack.unpack(ARGV[1]))\n"

_LEAVES: Final = """
local function leaves()
  if redis.call('ZREM', KEYS[2], ARGV[2] .. ' ' .. ARGV[3]) == 0 then return false end
  local count = 'n:' .. ARGV[2]
  if redis.call('HGET', KEYS[4], count) and redis.call('HINCRBY', KEYS[4], count, -1) <= 0 then
    redis.call('HDEL', KEYS[4], count)
  end
  return true
end
"""
"""Takes an event from its queue."""
DELIVERED: Final = (
    OURS
    + _LEAVES
    + """
leaves()
redis.call('HDEL', KEYS[4], ARGV[3])
return 1
"""
)
GIVE_UP: Final = (
    OURS
    + _LEAVES
    + """
local time = redis.call('TIME')
if leaves() then
  redis.call('ZADD', KEYS[3], math.floor(time[1] * 1000 + time[2] / 1000), ARGV[2] .. ' ' .. ARGV[3])
  for _, oldest in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1 - MAX_DEAD)) do
    redis.call('ZREM', KEYS[3], oldest)
    redis.call('HDEL', KEYS[4], string.match(oldest, ' (.*)'))
  end
  redis.call('EXPIRE', KEYS[3], KEPT_SECONDS)
  redis.call('EXPIRE', KEYS[4], KEPT_SECONDS)
end
return 1
""".replace("MAX_DEAD", str(MAX_DEAD)).replace("KEPT_SECONDS", str(KEPT_SECONDS))
)
_pack: Final = msgspec.msgpack.Encoder().encode
_event: Final = msgspec.json.Decoder(QueuedEvent)
PackedNotice: TypeAlias = tuple[str, str, Sequence[str], str | bool, str, PackedHeld | bool]


class Member(NamedTuple):
    """An event in a queue."""

    group: str
    id: str


class Queued(NamedTuple):
    """A queue as it was found."""

    first: Sequence[Member]
    size: int
    dead: int
    dropped: int


class WebhookQueue:
    """The queue of one webhook, for the pod that sends: its changes count while `owner` has the lease."""

    def __init__(self, redis: RedisClient, webhook: str, owner: str) -> None:
        self._redis = redis
        self._window = MAX_QUEUED if webhook == USERS else WINDOW
        self._queue, self._dead, self._events = webhook_keys(redis, webhook)
        self._sender, self._owner = sender_key(redis), owner

    async def look(self) -> Queued:
        found, size, dead, counted = await self._redis.call_all(
            [
                ("ZRANGE", self._queue, 0, self._window - 1),
                ("ZCARD", self._queue),
                ("ZCARD", self._dead),
                ("HGET", self._events, "dropped"),
            ]
        )
        return Queued([Member(*each.decode().split(" ", 1)) for each in found], size, dead, int(counted or 0))

    async def event(self, member: Member) -> QueuedEvent | None:
        """Return an event; None when it is not there any more."""
        found = await self._redis.call("HGET", self._events, member.id)
        return None if found is None else _event.decode(found)

    async def delivered(self, member: Member) -> None:
        """Remove an event."""
        await self._change(DELIVERED, member)

    async def give_up(self, member: Member) -> None:
        """Make an event a dead letter."""
        await self._change(GIVE_UP, member)

    async def _change(self, script: str, member: Member) -> None:
        keys = (self._sender, self._queue, self._dead, self._events)
        await self._redis.call("EVAL", script, len(keys), *keys, self._owner, *member)


def notify_command(redis: RedisClient, notice: Notice) -> Command:
    """Return the command that queues an event that no run's end does. A repeat queues it once."""
    keys = notice_keys(redis, notice)
    return ("EVAL", NOTIFY, len(keys), *keys, _pack(packed(notice, slack_ms=LATE_MS)))


def notice_keys(redis: RedisClient, notice: Notice) -> list[str]:
    """Return the keys of `notify`."""
    keys: list[str] = []
    for name, _ in notice.entries:
        queue, _, events = webhook_keys(redis, name)
        keys += (queue, events)
    if notice.own is not None:
        queue, _, events = webhook_keys(redis, USERS)
        keys += (queue, events, users_key(redis))
    return keys if notice.held is None else [*keys, *held_keys(redis)]


def packed(notice: Notice, *, slack_ms: int = 0) -> PackedNotice:
    """Return a notice as `notify` takes it; `slack_ms`: how much earlier its answer may have ended."""
    owner, own = notice.own or (False, "")
    held = False if notice.held is None else packed_held(notice.held, slack_ms)
    return notice.id, notice.group, [entry for _, entry in notice.entries], owner, own, held


def webhook_keys(redis: RedisClient, webhook: str) -> tuple[str, str, str]:
    """Return the keys of the queue, of the dead letters and of the events."""
    return _key(redis, webhook, "queue"), _key(redis, webhook, "dead"), _key(redis, webhook, "events")


def sender_key(redis: RedisClient) -> str:
    return redis.shared_key("webhook-sender")


def users_key(redis: RedisClient) -> str:
    return redis.shared_key("webhook-users")


def _key(redis: RedisClient, webhook: str, kind: str) -> str:
    return redis.shared_key(f"webhook:{webhook}:{kind}")
