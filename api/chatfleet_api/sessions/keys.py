"""The Redis keys of one conversation, which share a slot: each script is one step on them. And those of attachments.

Each of a conversation raises `ChatError(CONVERSATION_NOT_FOUND)` for what cannot be an id of a conversation.
"""

import hashlib
from collections.abc import Sequence

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.ids import is_id
from chatfleet_api.redis.client import RedisClient


def conversation_keys(redis: RedisClient, tenant: str, conversation: str) -> tuple[str, str]:
    """Return the keys of the record and of the messages."""
    return _key(redis, tenant, "conversation", conversation), _key(redis, tenant, "messages", conversation)


def idempotency_key(redis: RedisClient, tenant: str, conversation: str, key: str) -> str:
    """Return the key of the idempotency record of a client's `key`."""
    return _key(redis, tenant, f"idempotency:{hashlib.sha256(key.encode()).hexdigest()[:32]}", conversation)


def queue_keys(redis: RedisClient, tenant: str, conversation: str) -> Sequence[str]:
    """Return the keys of the tickets, and of when each was renewed."""
    return [_key(redis, tenant, kind, conversation) for kind in ("queue", "queue-renewed")]


def attachment_keys(redis: RedisClient, tenant: str, digest: str) -> tuple[str, str]:
    """Return the keys of data that messages of a tenant have, and of the conversations that use it; with one slot."""
    return redis.key(tenant, "attachment", digest), redis.key(tenant, "attachment-uses", digest)


def loading_key(redis: RedisClient, tenant: str, conversation: str) -> str:
    """Return the key of the token of those who bring the conversation back from the archive."""
    return _key(redis, tenant, "loading", conversation)


def _key(redis: RedisClient, tenant: str, kind: str, conversation: str) -> str:
    if not is_id(conversation):
        raise ChatError(Code.CONVERSATION_NOT_FOUND)
    return redis.key(tenant, kind, conversation)
