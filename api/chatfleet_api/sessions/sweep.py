"""Deletes conversations of a tenant in Redis by age: many in each step, which frees their memory in the background.

What was changed since it was found stays: each step looks at the time of the last change again, and with an archive at
`given`, when feedback was last given, which may wait for the archive, and at `unarchived`, which what the archive does
not take has. The listings of users are not touched; a listing skips and removes what is gone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.attachments import RedisAttachments
from chatfleet_api.sessions.keys import conversation_keys

BATCH: Final = 500
"""Conversations of one step, which takes Redis about 2 ms."""
_KEPT: Final = 0
"""Outcomes are this, 2 for what is gone already, and the digests of what was attached to what is deleted."""
SWEEP: Final = """
local found = {}
for i = 1, #KEYS, 2 do
  local updated, files, given, unarchived =
    unpack(redis.call('HMGET', KEYS[i], 'updated', 'attachments', 'given', 'unarchived'))
  if not updated then
    found[#found + 1] = 2
  elseif updated >= ARGV[1] or (given or '') >= ARGV[1] or unarchived then
    found[#found + 1] = 0
  else
    redis.call('UNLINK', KEYS[i], KEYS[i + 1])
    found[#found + 1] = files or ''
  end
end
return found
"""


class Sweep:
    """The conversations of one tenant that were last changed before a time."""

    def __init__(
        self, redis: RedisClient, tenant: str, listing: str, before: datetime, attachments: RedisAttachments
    ) -> None:
        """`listing` is the key of the tenant's listing."""
        self._redis = redis
        self._attachments = attachments
        self._tenant = tenant
        self._listing = listing
        self._stamp = before.isoformat(timespec="milliseconds")
        self._changed = round(before.timestamp() * 1_000_000)

    async def delete(self, limit: int) -> int:
        """Delete the oldest ones, up to `limit`, and return their number."""
        deleted = kept = 0
        while deleted < limit and (ids := await self._oldest(kept, min(BATCH, limit - deleted))):
            outcomes = await self._delete(ids)
            gone = [(each, outcome) for each, outcome in zip(ids, outcomes, strict=True) if outcome != _KEPT]
            attached = [(each, outcome) for each, outcome in gone if isinstance(outcome, bytes)]
            deleted += len(attached)
            await self._attachments.release(self._tenant, attached)
            kept += outcomes.count(_KEPT)
            if gone:
                await self._redis.call("ZREM", self._listing, *(each for each, _ in gone))
        return deleted

    async def _oldest(self, skipped: int, count: int) -> Sequence[str]:
        last = f"({self._changed}"
        reply = await self._redis.call("ZRANGE", self._listing, "-inf", last, "BYSCORE", "LIMIT", skipped, count)
        return [conversation.decode() for conversation in reply]

    async def _delete(self, ids: Sequence[str]) -> list[int | bytes]:
        keys = [conversation_keys(self._redis, self._tenant, each) for each in ids]
        if self._redis.clustered:
            commands = [("EVAL", SWEEP, 2, *each, self._stamp) for each in keys]
            return [outcome for (outcome,) in await self._redis.call_all(commands)]
        flat = [key for each in keys for key in each]
        outcomes: Any = await self._redis.call("EVAL", SWEEP, len(flat), *flat, self._stamp)
        return list(outcomes)
