"""Queues the events of answers whose users are inactive: done by the pod that sends, while it has the lease."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.lease import OURS
from chatfleet_api.webhooks.event import USERS, QueuedEvent
from chatfleet_api.webhooks.inactivity import RELEASE, due_users, held_keys, seen_key
from chatfleet_api.webhooks.queue import NOTIFYING, sender_key, users_key, webhook_keys
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec.webhooks import WebhookEvent

RELEASING: Final = OURS + NOTIFYING + RELEASE
_pack: Final = msgspec.msgpack.Encoder().encode
_event: Final = msgspec.json.Decoder(QueuedEvent)


def waits_for_users(config: RuntimeConfig) -> bool:
    """Return whether a webhook has the events of inactive users, or that of a user may."""
    of_resource = any(WebhookEvent.USER_INACTIVE in each.events for each in config.webhooks)
    return of_resource or config.conversations.user_webhooks


class InactiveUsers:
    """Looks for users that are inactive by now."""

    def __init__(self, redis: RedisClient, owner: str, released: Callable[[Mapping[str, Any]], None]) -> None:
        """Change something while `owner` has the lease; call `released` with the data of each event."""
        self._redis, self._owner, self._released = redis, owner, released

    async def step(self, config: RuntimeConfig) -> None:
        """Queue what is due; raises `ChatError`. What was held for a webhook that is gone is dropped."""
        if not waits_for_users(config):
            return
        for user in await due_users(self._redis):
            for entry in await self._release(user, config):
                self._released(msgspec.json.decode(_event.decode(entry).body)["data"])

    async def _release(self, user: str, config: RuntimeConfig) -> Sequence[bytes]:
        keys = [sender_key(self._redis), *held_keys(self._redis), seen_key(self._redis, user)]
        firsts: dict[str, int] = {}
        for name in (*(each.name for each in config.webhooks), USERS):
            queue, _, events = webhook_keys(self._redis, name)
            firsts[name] = len(keys) + 1
            keys += (queue, events)
        keys.append(users_key(self._redis))
        found: Any = await self._redis.call("EVAL", RELEASING, len(keys), *keys, self._owner, user, _pack(firsts))
        return found or ()
