"""Feedback in Redis, in the hash of its conversation, with which it expires.

The hash has `feedback`, the keys of all in their order, one after the other, and for each `feedback:<key>`.
"""

from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.feedback import MAX_FEEDBACK, Feedback, too_many
from chatfleet_api.sessions.keys import conversation_keys
from chatfleet_api.sessions.scripts import FEEDBACK, PUT_FEEDBACK

_encode: Final = msgspec.json.Encoder().encode
_feedback: Final = msgspec.json.Decoder(Feedback)


class RedisFeedbackStore:
    """A `FeedbackStore` beside a `RedisSessionStore`."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def put(self, tenant: str, conversation: str, feedback: Feedback) -> Feedback:
        key, _ = conversation_keys(self._redis, tenant, conversation)
        created = await self._redis.call(
            "EVAL", PUT_FEEDBACK, 1, key, feedback.key, feedback.created_at, _encode(feedback), MAX_FEEDBACK
        )
        if created is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        if not created:
            raise too_many()
        return msgspec.structs.replace(feedback, created_at=created.decode())

    async def all(self, tenant: str, conversation: str) -> tuple[Feedback, ...]:
        key, _ = conversation_keys(self._redis, tenant, conversation)
        found = await self._redis.call("EVAL", FEEDBACK, 1, key)
        if found is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return tuple(read_feedback(entry) for entry in found)


def read_feedback(entry: bytes) -> Feedback:
    """Return the feedback of an entry of the hash."""
    created, _, feedback = entry.partition(b"\n")
    return msgspec.structs.replace(_feedback.decode(feedback), created_at=created.decode())


def entry_of(feedback: Feedback) -> bytes:
    """Return the entry of the hash for feedback."""
    return feedback.created_at.encode() + b"\n" + _encode(feedback)
