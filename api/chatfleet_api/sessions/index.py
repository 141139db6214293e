"""The listings of conversations in Redis: sorted sets by last change, one of each tenant and one of each user."""

import hashlib
from collections.abc import Sequence

from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.listing import Position, position
from chatfleet_api.sessions.scripts import TOUCH
from chatfleet_api.sessions.store import Conversation
from chatfleet_contract.spec import Conversations


class ConversationIndex:
    """Where conversations stand in the listings."""

    def __init__(self, redis: RedisClient, conversations: Live[Conversations]) -> None:
        self._redis = redis
        self._conversations = conversations

    def keys(self, tenant: str, user_id: str | None) -> Sequence[str]:
        """Return the keys of the listings that a conversation is in, the one of its user last."""
        everyone = self._redis.key(tenant, "conversations")
        if user_id is None:
            return [everyone]
        return [everyone, f"{everyone}:{hashlib.sha256(user_id.encode()).hexdigest()[:32]}"]

    def key(self, tenant: str, user_id: str | None) -> str:
        """Return the key of the listing of a user, or of all of the tenant's conversations."""
        return self.keys(tenant, user_id)[-1]

    async def touch(self, tenant: str, conversation: Conversation, now: str) -> None:
        """Put a conversation in front, as changed at `now`."""
        keys, ttl = self.keys(tenant, conversation.user_id), self._conversations().ttl_seconds
        changed = position(now, conversation.id).changed
        await self._redis.call("EVAL", TOUCH, len(keys), *keys, ttl, changed, conversation.id)

    async def remove(self, keys: Sequence[str], conversations: Sequence[str]) -> None:
        """Remove conversations from listings."""
        await self._redis.call_all([("ZREM", key, *conversations) for key in keys])

    async def positions(
        self, key: str, between: tuple[Position | None, int | None], offset: int, count: int
    ) -> Sequence[Position]:
        """Return up to `count` positions of a listing, newest change first.

        They are from the change of the position in `between` on, to the earliest change in it (microseconds).
        """
        start, oldest = between
        newest, last = "+inf" if start is None else start.changed, "-inf" if oldest is None else oldest
        reply = await self._redis.call(
            "ZRANGE", key, newest, last, "BYSCORE", "REV", "LIMIT", offset, count, "WITHSCORES"
        )
        pairs = zip(reply[::2], reply[1::2], strict=True)
        return [Position(int(changed), conversation.decode()) for conversation, changed in pairs]
