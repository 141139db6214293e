"""The session store in Redis: conversations that every pod sees.

A conversation is a hash and a list of messages, to which entries are only appended. The hash has `record`, `version`,
`updated`, `epoch:<message>` (the fencing token of an answer whose run was taken over), `response:<run>` (where in the
list the messages of a response begin, and how many they are), `responses` (how many there are), `attachments` (the
digests of what is in `attachments.py`), and feedback; with an archive `given`, when that was last given, and
`unarchived` (`archive/changes.py`). Both carry the same hash tag, so that each step below is one atomic script, also on
a cluster. The listings (`index.py`) are in another slot: the conversation is written first, and what a listing has too
much is skipped and removed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.attachments import RedisAttachments
from chatfleet_api.sessions.index import ConversationIndex
from chatfleet_api.sessions.keys import conversation_keys, idempotency_key, queue_keys
from chatfleet_api.sessions.listing import ALL, Wanted
from chatfleet_api.sessions.pages import FIELDS, ConversationPages, read_record
from chatfleet_api.sessions.scripts import (
    APPEND,
    CREATE,
    DELETE,
    DEQUEUE,
    ENQUEUE,
    FORGET_RESPONSE,
    MESSAGES,
    REMOVE,
    RESPONSE,
    UPDATE,
)
from chatfleet_api.sessions.store import (
    MAX_QUEUED,
    TICKET_SECONDS,
    UPDATE_ATTEMPTS,
    Append,
    Change,
    Conversation,
    IdempotencyRecord,
    Page,
    StoredMessage,
)
from chatfleet_api.sessions.sweep import Sweep
from chatfleet_api.sessions.tree import newest
from chatfleet_contract.spec import Conversations

_encode: Final = msgspec.json.Encoder().encode
_conversation: Final = msgspec.json.Decoder(Conversation)
_idempotency: Final = msgspec.json.Decoder(IdempotencyRecord)
_message: Final = msgspec.json.Decoder(StoredMessage)


class RedisSessionStore:
    """A `SessionStore` that keeps conversations until `conversations.ttlSeconds` after their last change.

    An append counts when as many replicas as `wait_replicas` have it.
    """

    def __init__(self, redis: RedisClient, conversations: Live[Conversations], wait_replicas: Live[int]) -> None:
        self._redis = redis
        self._conversations = conversations
        self._wait_replicas = wait_replicas
        self._index = ConversationIndex(redis, conversations)
        self._pages = ConversationPages(redis, self._index)
        self._attachments = RedisAttachments(redis)

    async def create(self, tenant: str, conversation: Conversation) -> None:
        """Store a new conversation; a repeat changes nothing."""
        keys = conversation_keys(self._redis, tenant, conversation.id)
        await self._script(CREATE, keys, self._ttl_seconds, _encode(conversation), conversation.updated_at)
        await self._index.touch(tenant, conversation, conversation.updated_at)

    async def get(self, tenant: str, conversation: str) -> Conversation:
        key, _ = conversation_keys(self._redis, tenant, conversation)
        found = read_record(await self._redis.call("HMGET", key, *FIELDS))
        if found is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return found

    async def list(self, tenant: str, wanted: Wanted = ALL, *, limit: int = 20, cursor: str | None = None) -> Page:
        return await self._pages.read(tenant, wanted, limit=limit, cursor=cursor)

    async def update(self, tenant: str, conversation: str, change: Change, *, now: str) -> Conversation:
        keys = conversation_keys(self._redis, tenant, conversation)
        for _ in range(UPDATE_ATTEMPTS):
            *reply, attached = await self._redis.call("HMGET", keys[0], *FIELDS, "attachments")
            if (found := read_record(reply)) is None:
                raise ChatError(Code.CONVERSATION_NOT_FOUND)
            changed = msgspec.structs.replace(change(found), updated_at=now)
            outcome = await self._script(UPDATE, keys, self._ttl_seconds, reply[0], _encode(changed), now)
            if outcome == b"missing":
                raise ChatError(Code.CONVERSATION_NOT_FOUND)
            if outcome == b"done":
                await self._attachments.renew(tenant, conversation, attached, seconds=self._ttl_seconds)
                if changed.listed:
                    await self._index.touch(tenant, changed, now)
                return changed
        raise ChatError(Code.CONVERSATION_CHANGED)

    async def remove(self, tenant: str, conversation: str, place: StoredMessage, *, now: str) -> None:
        keys, beginning = conversation_keys(self._redis, tenant, conversation), b'{"id":' + _encode(place.id) + b","
        unused = await self._script(REMOVE, keys, self._ttl_seconds, now, beginning, _encode(place), place.id)
        if unused is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        await self._attachments.leave(tenant, conversation, unused)
        *reply, attached = await self._redis.call("HMGET", keys[0], *FIELDS, "attachments")  # of an append since, too
        if (known := read_record(reply)) is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        await self._attachments.renew(tenant, conversation, attached, seconds=self._ttl_seconds)
        if known.listed:
            await self._index.touch(tenant, known, now)

    async def delete(self, tenant: str, conversation: str) -> None:
        record, attached = await self._script(DELETE, conversation_keys(self._redis, tenant, conversation))
        if record is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        await self._attachments.release(tenant, [(conversation, attached)])
        await self._index.remove(self._index.keys(tenant, _conversation.decode(record).user_id), [conversation])

    async def messages(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        return tuple(await self._attachments.whole(tenant, await self.outline(tenant, conversation)))

    async def outline(self, tenant: str, conversation: str) -> tuple[StoredMessage, ...]:
        found = await self._script(MESSAGES, conversation_keys(self._redis, tenant, conversation))
        if found is None:
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        return newest(_message.decode(entry) for entry in found)

    async def append(self, tenant: str, conversation: str, append: Append) -> int:
        first, record = append.messages[0], append.idempotency
        keys = [*conversation_keys(self._redis, tenant, conversation)]
        if record is not None:
            keys.append(idempotency_key(self._redis, tenant, conversation, record.key))
        kept = await self._attachments.keep(tenant, conversation, append.messages)
        outcome, *rest = await self._committed(
            keys,
            *(self._ttl_seconds, "" if append.expected_version is None else append.expected_version, append.now),
            *(f"epoch:{first.id}", first.epoch, _encode(record)),
            *("" if append.create is None else _encode(append.create), *(append.response or ("", 0))),
            kept.digests,
            *map(_encode, kept.messages),
        )
        if outcome == b"missing":
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        if outcome == b"changed":
            raise ChatError(Code.CONVERSATION_CHANGED)
        version, conversation_record, attached = rest
        await self._attachments.renew(tenant, conversation, attached, seconds=self._ttl_seconds)
        if (found := _conversation.decode(conversation_record)).listed:
            await self._index.touch(tenant, found, append.now)
        return int(version)

    async def response(self, tenant: str, conversation: str, run: str) -> tuple[StoredMessage, ...]:
        found = await self._script(RESPONSE, conversation_keys(self._redis, tenant, conversation), run)
        if found is None:
            return ()
        size, entries = found
        states = [_message.decode(entry) for entry in entries]
        ids = {message.id for message in states[:size]}
        return tuple(await self._attachments.whole(tenant, newest(each for each in states if each.id in ids)))

    async def forget_response(self, tenant: str, conversation: str, run: str) -> bool:
        keys = conversation_keys(self._redis, tenant, conversation)
        found = await self._script(FORGET_RESPONSE, keys, run)
        if isinstance(found, bytes):  # it was the last one of a thread
            await self._attachments.release(tenant, [(conversation, found)])
        return bool(found != 0)

    async def delete_older(self, tenant: str, before: datetime, *, limit: int) -> int:
        (listing,) = self._index.keys(tenant, None)
        return await Sweep(self._redis, tenant, listing, before, self._attachments).delete(limit)

    async def idempotency_record(self, tenant: str, conversation: str, key: str) -> IdempotencyRecord | None:
        found = await self._redis.call("GET", idempotency_key(self._redis, tenant, conversation, key))
        return None if found is None else _idempotency.decode(found)

    async def enqueue(self, tenant: str, conversation: str, ticket: str) -> int:
        keys = [conversation_keys(self._redis, tenant, conversation)[0], *queue_keys(self._redis, tenant, conversation)]
        ahead = await self._script(ENQUEUE, keys, ticket, round(TICKET_SECONDS * 1000), MAX_QUEUED)
        if ahead == b"missing":
            raise ChatError(Code.CONVERSATION_NOT_FOUND)
        if ahead == b"full":
            raise ChatError(Code.CONVERSATION_BUSY)
        return int(ahead)

    async def dequeue(self, tenant: str, conversation: str, ticket: str) -> None:
        await self._script(DEQUEUE, queue_keys(self._redis, tenant, conversation), ticket)

    async def _committed(self, keys: Sequence[str], *arguments: str | bytes | int) -> Any:  # noqa: ANN401
        """Append, and return when enough replicas have it."""
        replicas = self._wait_replicas()
        if not replicas:
            return await self._script(APPEND, keys, *arguments)
        command = ("EVAL", APPEND, len(keys), *keys, *arguments)
        return await self._redis.call_replicated(command, keys[0], ttl_seconds=self._ttl_seconds, replicas=replicas)

    async def _script(self, script: str, keys: Sequence[str], *arguments: str | bytes | int) -> Any:  # noqa: ANN401
        return await self._redis.call("EVAL", script, len(keys), *keys, *arguments)

    @property
    def _ttl_seconds(self) -> int:
        return self._conversations().ttl_seconds
