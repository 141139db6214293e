"""The queue of each webhook in Redis: its keys, and the scripts that are its steps.

- `webhook:<name>:queue`: a sorted set of the events to be sent, as `<group> <id>`, by the order in which they came
- `webhook:<name>:dead`: a sorted set of those that were given up, by the time (ms) of that: the dead letters
- `webhook:<name>:events`: a hash of all these events by id, `#` (how many ever came) and `dropped` (how many found the
  queue full)
- `webhook-sender`: the lease of the pod that sends

All keys share a slot with the sums of the ledger. An event of a run that is logged is queued by the script that ends
the run (`runs/log/append_script.py`): in one step, and no other way.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.redis.lease import OURS
from chatfleet_api.webhooks.event import Notice, QueuedEvent

MAX_QUEUED: Final = 10_000
"""Events of one webhook that wait; further ones are dropped, and counted."""
MAX_DEAD: Final = 1_000
"""Dead letters of one webhook; the oldest go first."""
KEPT_SECONDS: Final = 30 * 24 * 3600
"""How long a queue is kept to which no event comes, such as that of a webhook that was removed."""
WINDOW: Final = 500
"""First events of a queue among which those that are due are looked for."""

NOTIFYING: Final = """
local function notify(first, notice)
  local id, group, entries = unpack(notice)
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
end
""".replace("MAX_QUEUED", str(MAX_QUEUED)).replace("KEPT_SECONDS", str(KEPT_SECONDS))
"""Defines `notify`, which queues an event at pairs of keys, of which the first is number `first`."""
NOTIFY: Final = NOTIFYING + "notify(1, cmsgpack.unpack(ARGV[1]))\n"

DELIVERED: Final = (
    OURS
    + """
redis.call('ZREM', KEYS[2], ARGV[2] .. ' ' .. ARGV[3])
redis.call('HDEL', KEYS[4], ARGV[3])
return 1
"""
)
GIVE_UP: Final = (
    OURS
    + """
local time = redis.call('TIME')
if redis.call('ZREM', KEYS[2], ARGV[2] .. ' ' .. ARGV[3]) == 1 then
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
PackedNotice: TypeAlias = tuple[str, str, Sequence[str]]


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
        self._queue, self._dead, self._events = webhook_keys(redis, webhook)
        self._sender, self._owner = sender_key(redis), owner

    async def look(self) -> Queued:
        found, size, dead, counted = await self._redis.call_all(
            [
                ("ZRANGE", self._queue, 0, WINDOW - 1),
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
    return ("EVAL", NOTIFY, len(keys), *keys, _pack(packed(notice)))


def notice_keys(redis: RedisClient, notice: Notice) -> list[str]:
    """Return the pairs of keys of `notify`."""
    keys: list[str] = []
    for name, _ in notice.entries:
        queue, _, events = webhook_keys(redis, name)
        keys += (queue, events)
    return keys


def packed(notice: Notice) -> PackedNotice:
    """Return a notice as `notify` takes it."""
    return notice.id, notice.group, [entry for _, entry in notice.entries]


def webhook_keys(redis: RedisClient, webhook: str) -> tuple[str, str, str]:
    """Return the keys of the queue, of the dead letters and of the events."""
    return _key(redis, webhook, "queue"), _key(redis, webhook, "dead"), _key(redis, webhook, "events")


def sender_key(redis: RedisClient) -> str:
    return redis.shared_key("webhook-sender")


def _key(redis: RedisClient, webhook: str, kind: str) -> str:
    return redis.shared_key(f"webhook:{webhook}:{kind}")
