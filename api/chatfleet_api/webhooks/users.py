"""The webhooks of users in Redis: one each, in one hash, by tenant and user."""

from typing import Final

import msgspec

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.webhooks.queue import users_key
from chatfleet_api.webhooks.user_webhook import MAX_USERS, UserWebhook

PUT: Final = """
if not redis.call('HGET', KEYS[1], ARGV[1]) then
  if redis.call('HINCRBY', KEYS[1], '#', 1) > MAX_USERS then
    redis.call('HINCRBY', KEYS[1], '#', -1)
    return 0
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'wait:' .. ARGV[1], ARGV[3])
else
  redis.call('HDEL', KEYS[1], 'wait:' .. ARGV[1])
end
return 1
""".replace("MAX_USERS", str(MAX_USERS))
DELETE: Final = """
if redis.call('HDEL', KEYS[1], ARGV[1]) == 1 then redis.call('HINCRBY', KEYS[1], '#', -1) end
redis.call('HDEL', KEYS[1], 'wait:' .. ARGV[1])
return 1
"""

_decode: Final = msgspec.json.Decoder(UserWebhook).decode
_encode: Final = msgspec.json.Encoder().encode


class RedisUserWebhooks:
    """Every method raises `ChatError(STORAGE_UNAVAILABLE)`."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis, self._key = redis, users_key(redis)

    async def get(self, owner: str) -> UserWebhook | None:
        found = await self._redis.call("HGET", self._key, owner)
        return None if found is None else _decode(found)

    async def put(self, owner: str, webhook: UserWebhook) -> bool:
        """Store a webhook in the place of an older one; returns whether there was room."""
        wait = webhook.inactive_after_seconds or ""
        return bool(await self._redis.call("EVAL", PUT, 1, self._key, owner, _encode(webhook), wait))

    async def delete(self, owner: str) -> None:
        await self._redis.call("EVAL", DELETE, 1, self._key, owner)
