"""Brings a conversation that has expired back into Redis: once, and as nothing has changed since it was read.

Who loads takes a token in the slot of the conversation before it reads PostgreSQL, which all share who load at the same
time. It is valid until the conversation is there, or is deleted: what was read earlier is not stored then.
"""

from typing import Final

import msgspec

from chatfleet_api.archive.documents import Archived
from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.attachments import RedisAttachments
from chatfleet_api.sessions.keys import conversation_keys, loading_key
from chatfleet_api.sessions.redis_feedback import entry_of
from chatfleet_contract.spec import Conversations

LOADING_SECONDS: Final = 30
"""Life of a token: longer than PostgreSQL may take."""

BEGIN: Final = """
local token = redis.call('GET', KEYS[1]) or ARGV[1]
redis.call('SET', KEYS[1], token, 'EX', ARGV[2])
return token
"""
FINISH: Final = """
local token, ttl, fields = unpack(ARGV, 1, 3)
if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end
if redis.call('GET', KEYS[3]) ~= token then return 0 end
redis.call('DEL', KEYS[2], KEYS[3])
for first = 4, 3 + fields, 1000 do -- more at once do not fit the stack of Lua
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 999, 3 + fields)))
end
for first = 4 + fields, #ARGV, 1000 do
  redis.call('RPUSH', KEYS[2], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return 1
"""
KEEP: Final = """
local ttl, given = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
redis.call('HSET', KEYS[1], 'given', given)
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return redis.call('HGET', KEYS[1], 'attachments')
"""

_encode: Final = msgspec.json.Encoder().encode


class Loading:
    """Loads conversations of one ChatDeployment, which are kept for `conversations.ttlSeconds` again."""

    def __init__(self, redis: RedisClient, conversations: Live[Conversations]) -> None:
        self._redis, self._conversations, self._attachments = redis, conversations, RedisAttachments(redis)

    async def begin(self, tenant: str, conversation: str, token: str) -> str:
        """Return the token with which what is read from now on can be stored: `token`, or that of others."""
        key = loading_key(self._redis, tenant, conversation)
        found: bytes = await self._redis.call("EVAL", BEGIN, 1, key, token, LOADING_SECONDS)
        return found.decode()

    async def finish(self, tenant: str, archived: Archived, token: str) -> bool:
        """Store a conversation unless it is there; returns False when it may have changed since `begin`."""
        ident, ttl, attachments = archived.conversation.id, self._conversations().ttl_seconds, self._attachments
        keys = (*conversation_keys(self._redis, tenant, ident), loading_key(self._redis, tenant, ident))
        kept = await attachments.keep(tenant, ident, archived.entries)
        fields, entries = _fields(archived, kept.digests), map(_encode, kept.messages)
        stored = await self._redis.call("EVAL", FINISH, 3, *keys, token, ttl, len(fields), *fields, *entries)
        if stored:
            await attachments.renew(tenant, ident, kept.digests.encode(), seconds=ttl)
        return bool(stored)

    async def keep(self, tenant: str, conversation: str, given: str, seconds: int) -> None:
        """Keep one that is there for at least `seconds` from now: feedback is `given`, which alone renews nothing."""
        ttl = max(seconds, self._conversations().ttl_seconds)
        keys = conversation_keys(self._redis, tenant, conversation)
        attached = await self._redis.call("EVAL", KEEP, 2, *keys, ttl, given)
        await self._attachments.renew(tenant, conversation, attached, seconds=ttl)

    async def stop(self, tenant: str, conversation: str) -> None:
        """Let nothing be stored that was read before."""
        await self._redis.call("DEL", loading_key(self._redis, tenant, conversation))


def _fields(archived: Archived, digests: str) -> list[str | bytes | int]:
    """Return the hash of a conversation all of whose entries are archived: names and values in turn."""
    known, entries, feedback = archived
    fields: list[str | bytes | int] = ["record", _encode(known), "version", known.version, "updated", known.updated_at]
    fields += ["archived", len(entries)]
    for entry in entries:
        if entry.epoch:
            fields += [f"epoch:{entry.id}", entry.epoch]
    if digests:
        fields += ["attachments", digests]
    if feedback:
        fields += ["feedback", "".join(each.key for each in feedback)]
    for each in feedback:
        fields += [f"feedback:{each.key}", entry_of(each)]
    return fields
