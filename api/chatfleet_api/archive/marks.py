"""Which conversations are to be archived: the queue in Redis, and the scripts that are its steps.

- `archive:queue`: a sorted set of `<tenant>/<conversation>` by the time (ms) from which `SETTLING_SECONDS` count
- `archive:marks`: a hash of the newest mark of each: its time and what it is about, as `<ms>:<flags>`; and of the
  number of marks of each tenant that has some, by `n:<tenant>`
- `archive-writer`: the lease of the pod that archives

A change is marked before it is made, and the mark stays until the conversation was read long enough after it: whatever
becomes of the pod between the two, the change is archived if it was made. The keys of conversations may be in any slot.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.ids import is_id
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.executor import RETRY_SECONDS

DELETED: Final = "D"
REWRITTEN: Final = "R"
"""A message was removed: all of them are read again."""
FEEDBACK: Final = "F"

MAX_MARKED: Final = 500_000
"""Conversations that wait, about 200 bytes each; beyond them, changes of others are refused until there is room."""
SHARE: Final = 9
"""Of a tenant: so many times what it leaves free. Of 500,000, one alone has at most 450,000, and the next 45,000."""
SETTLING_SECONDS: Final = 5.0
"""Longer than a command that was sent to Redis, and sent again, can take to arrive."""
RETRY_FAILED_SECONDS: Final = 60.0
"""Pause before a conversation is tried again that is not taken."""
UNARCHIVED_SECONDS: Final = 30 * 24 * 3600
"""Least time that a conversation is kept in Redis while it is not archived yet."""

_NOW: Final = """
local time = redis.call('TIME')
local now = math.floor(time[1] * 1000 + time[2] / 1000)
"""
MARK: Final = (
    _NOW
    + """
local member, flags, most, share = unpack(ARGV)
local before, count = redis.call('HGET', KEYS[2], member), 'n:' .. string.match(member, '^[^/]*')
if before then
  for flag in string.gmatch(string.match(before, ':(.*)'), '.') do
    if not string.find(flags, flag, 1, true) then flags = flags .. flag end
  end
elseif tonumber(redis.call('HGET', KEYS[2], count) or 0) >= share * (most - redis.call('ZCARD', KEYS[1])) then
  return 0
else
  redis.call('HINCRBY', KEYS[2], count, 1)
end
redis.call('HSET', KEYS[2], member, string.format('%.0f:%s', now, flags))
redis.call('ZADD', KEYS[1], 'NX', now, member)
return 1
"""
)
LOOK: Final = (
    _NOW
    + """
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local found = {string.format('%.0f', now), redis.call('ZCARD', KEYS[1]), first[2] or string.format('%.0f', now)}
if tonumber(ARGV[2]) > 0 then
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now - ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
    found[#found + 1] = member
    found[#found + 1] = redis.call('HGET', KEYS[2], member) or '0:'
  end
end
return found
"""
)
SETTLE: Final = """
local seen, settling, pause = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 4, #ARGV, 3 do
  local member, mark, outcome = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local newest = redis.call('HGET', KEYS[2], member) or mark
  local at = tonumber(string.match(newest, '^%d+'))
  if outcome == 'failed' then
    redis.call('ZADD', KEYS[1], seen + pause, member)
  elseif outcome == 'done' and newest == mark and at <= seen - settling then
    local count = 'n:' .. string.match(member, '^[^/]*')
    if redis.call('HDEL', KEYS[2], member) == 1 and redis.call('HINCRBY', KEYS[2], count, -1) < 1 then
      redis.call('HDEL', KEYS[2], count)
    end
    redis.call('ZREM', KEYS[1], member)
  elseif outcome == 'done' then
    redis.call('ZADD', KEYS[1], at, member)
  end
end
"""


class Marked(NamedTuple):
    """A conversation that is to be archived."""

    tenant: str
    conversation: str
    mark: str

    @property
    def at(self) -> int:
        """Milliseconds since 1970 of its newest change, before which it was marked."""
        return int(self.mark.partition(":")[0])

    def about(self, flag: str) -> bool:
        """Return whether one of its changes since it was archived is of this kind."""
        return flag in self.mark.partition(":")[2]


class Queued(NamedTuple):
    """The queue as it was found."""

    at: int
    """By the clock of Redis, in milliseconds."""
    size: int
    oldest: int
    """Milliseconds since 1970 of the first mark that waits; `at` when there is none."""
    due: Sequence[Marked]

    @property
    def age(self) -> float:
        """Seconds for which the first one has waited."""
        return max(0.0, (self.at - self.oldest) / 1000)


class Marks:
    """The queue of one ChatDeployment."""

    def __init__(self, redis: RedisClient, *, most: int = MAX_MARKED, settling: float = SETTLING_SECONDS) -> None:
        self._redis, self._most, self._settling = redis, most, round(settling * 1000)
        self._keys = marks_keys(redis)

    async def add(self, tenant: str, conversation: str, flag: str = "") -> None:
        """Mark a conversation, which is about to change.

        Raises:
            ChatError: STORAGE_UNAVAILABLE, also when the queue is full, or has as much of the tenant as it can have.
        """
        if not is_id(conversation):
            return
        member = f"{quote(tenant, safe='')}/{conversation}"
        if not await self._redis.call("EVAL", MARK, 2, *self._keys, member, flag, self._most, SHARE):
            detail = f"too many conversations wait for the archive, of at most {self._most}; make PostgreSQL available"
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=detail)

    async def deleted(self, tenant: str, conversations: Sequence[str]) -> frozenset[str]:
        """Return which of the conversations were deleted and may still be in PostgreSQL."""
        if not conversations:
            return frozenset()
        members = [f"{quote(tenant, safe='')}/{each}" for each in conversations]
        found = await self._redis.call("HMGET", self._keys[1], *members)
        pairs = zip(conversations, found, strict=True)
        return frozenset(each for each, mark in pairs if mark is not None and _marked(b"/", mark).about(DELETED))

    async def look(self, count: int) -> Queued:
        """Return the queue, with up to `count` conversations that are due."""
        at, size, oldest, *found = await self._redis.call("EVAL", LOOK, 2, *self._keys, self._settling, count)
        due = [_marked(member, mark) for member, mark in zip(found[::2], found[1::2], strict=True)]
        return Queued(int(at), int(size), int(oldest), due)

    async def settle(self, at: int, outcomes: Sequence[tuple[Marked, str]]) -> None:
        """Remove what was `done` and not marked since, as of a look `at`; `failed` is due later, `more` at once."""
        arguments = [part for each, outcome in outcomes for part in (_member(each), each.mark, outcome)]
        pause = round(RETRY_FAILED_SECONDS * 1000)
        await self._redis.call("EVAL", SETTLE, 2, *self._keys, at, self._settling, pause, *arguments)


def marks_keys(redis: RedisClient) -> tuple[str, str]:
    """Return the keys of the queue and of the marks, which share a slot."""
    return redis.shared_key("archive:queue"), redis.shared_key("archive:marks")


def writer_key(redis: RedisClient) -> str:
    """Return the key of the lease of the pod that archives."""
    return redis.shared_key("archive-writer")


def _member(marked: Marked) -> str:
    return f"{quote(marked.tenant, safe='')}/{marked.conversation}"


def _marked(member: bytes, mark: bytes) -> Marked:
    tenant, _, conversation = member.decode().partition("/")
    return Marked(unquote(tenant), conversation, mark.decode())
