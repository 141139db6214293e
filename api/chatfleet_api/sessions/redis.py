"""The session store in Redis: conversations that every pod sees.

A conversation is a hash (`record`, `version`, `updated`, and `epoch:<message>` for an answer whose run was taken over)
and a list of messages, to which entries are only appended.
Both carry the same hash tag, so that each step below is one atomic script, also on a cluster. The listings are sorted
sets by last change, in another slot: the conversation is written first, and what a listing has too much is passed over
and removed.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.ids import is_id
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.listing import Position, position, read_cursor
from chatfleet_api.sessions.store import (
    IDEMPOTENCY_SECONDS,
    MAX_QUEUED,
    TICKET_SECONDS,
    Conversation,
    IdempotencyRecord,
    Page,
    StoredMessage,
    newest,
)

REPEAT_DEPTH: Final = 64
"""Newest entries among which a repeated append is recognised: more than can come between an append and its repeat."""

_CREATE: Final = """
local ttl, record, updated = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'record', record, 'version', 0, 'updated', updated)
  redis.call('EXPIRE', KEYS[1], ttl)
end
"""
_MESSAGES: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
return redis.call('LRANGE', KEYS[2], 0, -1)
"""
_APPEND: Final = """
local ttl, expected, updated, epoch_of, epoch, once = unpack(ARGV, 1, 6)
local record, version, newest = unpack(redis.call('HMGET', KEYS[1], 'record', 'version', epoch_of))
if not record then return {'missing'} end
if redis.call('LPOS', KEYS[2], ARGV[7], 'RANK', -1, 'MAXLEN', DEPTH) then return {'done', tonumber(version), record} end
if expected ~= '' and expected ~= version then return {'changed'} end
if newest and tonumber(newest) > tonumber(epoch) then return {'changed'} end
if epoch ~= '0' then redis.call('HSET', KEYS[1], epoch_of, epoch) end
redis.call('RPUSH', KEYS[2], unpack(ARGV, 7))
if KEYS[3] then redis.call('SET', KEYS[3], once, 'EX', IDEMPOTENCY_SECONDS) end
redis.call('HSET', KEYS[1], 'version', version + 1, 'updated', updated)
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return {'done', version + 1, record}
""".replace("DEPTH", str(REPEAT_DEPTH)).replace("IDEMPOTENCY_SECONDS", str(IDEMPOTENCY_SECONDS))
_LINE_UP: Final = """
local me, ttl, longest = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
local time = redis.call('TIME')
local now = math.floor(time[1] * 1000 + time[2] / 1000)
for _, ticket in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local seen = redis.call('HGET', KEYS[3], ticket)
  if not seen or now - seen > tonumber(ttl) then
    redis.call('ZREM', KEYS[2], ticket)
    redis.call('HDEL', KEYS[3], ticket)
  end
end
if not redis.call('ZRANK', KEYS[2], me) then
  if redis.call('ZCARD', KEYS[2]) >= tonumber(longest) then return 'full' end
  redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[3], 'tickets', 1), me)
end
redis.call('HSET', KEYS[3], me, now)
redis.call('PEXPIRE', KEYS[2], ttl)
redis.call('PEXPIRE', KEYS[3], ttl)
return redis.call('ZRANK', KEYS[2], me)
"""
"""A line is a sorted set by arrival, and a hash of when each was last seen and how many ever came."""
_STEP_OUT: Final = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
"""
_DELETE: Final = """
local record = redis.call('HGET', KEYS[1], 'record')
redis.call('DEL', KEYS[1], KEYS[2])
return record
"""
_TOUCH: Final = """
local ttl, changed, id = unpack(ARGV)
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, changed, id)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', changed - ttl * 1000000)
  redis.call('EXPIRE', key, ttl)
end
"""
"""The greatest change is the newest: what is older than a conversation can get is gone itself."""

_encode: Final = msgspec.json.Encoder().encode
_conversation: Final = msgspec.json.Decoder(Conversation)
_once: Final = msgspec.json.Decoder(IdempotencyRecord)
_message: Final = msgspec.json.Decoder(StoredMessage)


class RedisSessionStore:
    """A `SessionStore` that keeps conversations until `ttl_seconds` after their last change."""

    def __init__(self, redis_client: RedisClient, *, ttl_seconds: int) -> None:
        self._redis = redis_client
        self.ttl_seconds = ttl_seconds
        """Seconds; may be replaced while the pod runs, for what changes from then on."""
        self.replicas = 0
        """Replicas that must have an append before it counts; may be replaced likewise."""

    async def create(self, tenant: str, conversation: Conversation) -> None:
        """Store a new conversation; a repeat changes nothing."""
        keys = self._keys(tenant, conversation.id)
        await self._script(_CREATE, keys, self.ttl_seconds, _encode(conversation), conversation.updated_at)
        await self._touch(tenant, conversation, conversation.updated_at)

    async def get(self, tenant: str, conversation: str) -> Conversation:
        """Return the record."""
        key, _ = self._keys(tenant, conversation)
        found = _read(await self._redis.call("HMGET", key, "record", "version", "updated"))
        if found is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return found

    async def list(
        self, tenant: str, *, user_id: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> Page:
        """Return conversations, newest change first."""
        index = self._indexes(tenant, user_id)[-1]
        start = read_cursor(cursor) if cursor else None
        found: list[tuple[Position, Conversation]] = []
        gone: list[str] = []
        offset = 0
        while len(found) <= limit and (places := await self._places(index, start, offset, limit + 1)):
            offset += len(places)
            wanted = [place for place in places if start is None or place < start]
            for place, conversation in zip(wanted, await self._records(tenant, wanted), strict=True):
                if conversation is None:
                    gone.append(place.conversation)
                else:
                    found.append((place, conversation))
        if gone:
            await self._redis.call("ZREM", index, *gone)
        more = found[limit - 1][0].cursor() if len(found) > limit else None
        return Page(tuple(conversation for _, conversation in found[:limit]), more)

    async def delete(self, tenant: str, conversation: str) -> None:
        """Forget the conversation."""
        record = await self._script(_DELETE, self._keys(tenant, conversation))
        if record is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        user_id = _conversation.decode(record).user_id
        await self._redis.call_all([("ZREM", key, conversation) for key in self._indexes(tenant, user_id)])

    async def messages(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        """Return all messages in order."""
        found = await self._script(_MESSAGES, self._keys(tenant, conversation))
        if found is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return newest(_message.decode(entry) for entry in found)

    async def append(  # noqa: PLR0913  # one step, with all that belongs to it
        self,
        tenant: str,
        conversation: str,
        messages: tuple[StoredMessage, ...],
        *,
        expected_version: int | None,
        now: str,
        once: IdempotencyRecord | None = None,
    ) -> int:
        """Append all of `messages` or none, and return the new version."""
        expected = "" if expected_version is None else expected_version
        entries = [_encode(message) for message in messages]
        keys = [*self._keys(tenant, conversation), *([self._once(tenant, conversation, once.key)] if once else [])]
        outcome, *rest = await self._kept(
            keys,
            *(self.ttl_seconds, expected, now, f"epoch:{messages[0].id}", messages[0].epoch, _encode(once)),
            *entries,
        )
        if outcome == b"missing":
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        if outcome == b"changed":
            raise ChatError(Code.CONVERSATION_CHANGED)
        version, record = rest
        await self._touch(tenant, _conversation.decode(record), now)
        return int(version)

    async def once(self, tenant: str, conversation: str, key: str) -> IdempotencyRecord | None:
        """Return what was kept under an idempotency key."""
        found = await self._redis.call("GET", self._once(tenant, conversation, key))
        return None if found is None else _once.decode(found)

    async def enqueue(self, tenant: str, conversation: str, ticket: str) -> int:
        """Take a place in the line, or keep it, and return how many stand before it."""
        keys = [self._keys(tenant, conversation)[0], *self._line(tenant, conversation)]
        place = await self._script(_LINE_UP, keys, ticket, round(TICKET_SECONDS * 1000), MAX_QUEUED)
        if place == b"missing":
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        if place == b"full":
            raise ChatError(Code.CONVERSATION_BUSY)
        return int(place)

    async def dequeue(self, tenant: str, conversation: str, ticket: str) -> None:
        """Give the place up."""
        await self._script(_STEP_OUT, self._line(tenant, conversation), ticket)

    async def ping(self) -> None:
        """Ask Redis for a sign of life."""
        await self._redis.ping()

    async def _touch(self, tenant: str, conversation: Conversation, now: str) -> None:
        changed = position(now, conversation.id).changed
        await self._script(
            _TOUCH, self._indexes(tenant, conversation.user_id), self.ttl_seconds, changed, conversation.id
        )

    async def _places(self, index: str, start: Position | None, offset: int, count: int) -> Sequence[Position]:
        newest_change = "+inf" if start is None else start.changed
        reply = await self._redis.call(
            "ZRANGE", index, newest_change, "-inf", "BYSCORE", "REV", "LIMIT", offset, count, "WITHSCORES"
        )
        pairs = zip(reply[::2], reply[1::2], strict=True)
        return [Position(int(changed), conversation.decode()) for conversation, changed in pairs]

    async def _records(self, tenant: str, places: Sequence[Position]) -> Sequence[Conversation | None]:
        keys = [self._keys(tenant, place.conversation)[0] for place in places]
        return [
            _read(reply)
            for reply in await self._redis.call_all([("HMGET", key, "record", "version", "updated") for key in keys])
        ]

    async def _kept(self, keys: Sequence[str], *arguments: str | bytes | int) -> Any:  # noqa: ANN401
        """Append, and return when as many replicas as wanted have it."""
        if not self.replicas:
            return await self._script(_APPEND, keys, *arguments)
        command = ("EVAL", _APPEND, len(keys), *keys, *arguments)
        return await self._redis.call_replicated(command, keys[0], ttl_seconds=self.ttl_seconds, replicas=self.replicas)

    async def _script(self, script: str, keys: Sequence[str], *arguments: str | bytes | int) -> Any:  # noqa: ANN401
        return await self._redis.call("EVAL", script, len(keys), *keys, *arguments)

    def _keys(self, tenant: str, conversation: str) -> tuple[str, str]:
        """Return the keys of the record and of the messages."""
        if not is_id(conversation):
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return self._redis.key(tenant, "conversation", conversation), self._redis.key(tenant, "messages", conversation)

    def _once(self, tenant: str, conversation: str, key: str) -> str:
        if not is_id(conversation):
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return self._redis.key(tenant, f"once:{hashlib.sha256(key.encode()).hexdigest()[:32]}", conversation)

    def _line(self, tenant: str, conversation: str) -> Sequence[str]:
        return [self._redis.key(tenant, kind, conversation) for kind in ("line", "line-seen")]

    def _indexes(self, tenant: str, user_id: str | None) -> Sequence[str]:
        """Return the keys of the listings that a conversation is in, the one of its user last."""
        everyone = self._redis.key(tenant, "conversations")
        if user_id is None:
            return [everyone]
        return [everyone, f"{everyone}:{hashlib.sha256(user_id.encode()).hexdigest()[:32]}"]


def _read(reply: Sequence[bytes | None]) -> Conversation | None:
    record, version, updated = reply
    if record is None or version is None or updated is None:
        return None
    return msgspec.structs.replace(_conversation.decode(record), version=int(version), updated_at=updated.decode())
