"""The data of messages in Redis: each once for a tenant, by digest, as long as a conversation uses it.

Of each there is the data, and a sorted set of the conversations that use it, by the time until which each does. It goes
with the last of them. It is stored before the messages, for `UNUSED_SECONDS` until they are: what is left of an append
that failed does not stay. Each change of a conversation renews it, as it renews the conversation. What no message of a
conversation has any more stays as long: the next message, which may be on its way, can have it again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from chatfleet_api.domain.large import off_loop
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.sessions.attached import Parted, parted, sizes_of, split, whole
from chatfleet_api.sessions.keys import attachment_keys
from chatfleet_api.sessions.store import StoredMessage

MAX_BATCH_BYTES: Final = 4 << 20
"""Of data that goes together, so that it arrives before Redis counts as unreachable."""
UNUSED_SECONDS: Final = 3600
"""Life of data whose message is not stored yet, or was removed."""
_USE: Final = """
local now = tonumber(redis.call('TIME')[1])
local function expire()
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
  if not last then return redis.call('UNLINK', KEYS[1], KEYS[2]) end
  redis.call('EXPIRE', KEYS[1], math.ceil(last - now))
  redis.call('EXPIRE', KEYS[2], math.ceil(last - now))
end
"""
KEEP: Final = (
    _USE
    + """
local conversation, seconds, data = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SET', KEYS[1], data) end
redis.call('ZADD', KEYS[2], 'GT', now + seconds, conversation)
expire()
"""
)
RENEW: Final = (
    _USE
    + """
local conversation, seconds = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then return end
redis.call('ZADD', KEYS[2], now + seconds, conversation)
expire()
"""
)
LEAVE: Final = (
    _USE
    + """
local conversation, seconds = unpack(ARGV)
redis.call('ZADD', KEYS[2], 'XX', 'LT', now + seconds, conversation)
expire()
"""
)
RELEASE: Final = (
    _USE
    + """
redis.call('ZREM', KEYS[2], ARGV[1])
expire()
"""
)


class Kept(NamedTuple):
    """Messages as they are stored."""

    messages: Sequence[StoredMessage]
    digests: str
    """Of their data, one after another."""


class RedisAttachments:
    """The data of the messages of all tenants."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def keep(self, tenant: str, conversation: str, messages: Iterable[StoredMessage]) -> Kept:
        """Store the data of messages that are about to be stored, and return these without it."""
        given = list(messages)
        parts = await off_loop(sum(len(message.item) for message in given), _each_parted, given)
        data = {digest: each for part in parts for digest, each in part.data.items()}
        for batch in _batches({digest: len(each) for digest, each in data.items()}):
            await self._call(
                self._command(KEEP, tenant, digest, conversation, UNUSED_SECONDS, data[digest]) for digest in batch
            )
        return Kept([part.message for part in parts], "".join(data))

    async def renew(self, tenant: str, conversation: str, digests: bytes | None, *, seconds: int) -> None:
        """Keep what a conversation uses, as it has it, for `seconds` from now."""
        await self._call(self._command(RENEW, tenant, each, conversation, seconds) for each in split(digests))

    async def leave(self, tenant: str, conversation: str, digests: bytes | None) -> None:
        """Keep what a conversation had in a message that was removed for `UNUSED_SECONDS`, unless it is renewed."""
        await self._call(self._command(LEAVE, tenant, each, conversation, UNUSED_SECONDS) for each in split(digests))

    async def release(self, tenant: str, uses: Iterable[tuple[str, bytes | None]]) -> None:
        """Delete what no conversation uses any more, once each of `uses` no longer uses its digests."""
        found = [(conversation, digest) for conversation, digests in uses for digest in split(digests)]
        await self._call(self._command(RELEASE, tenant, digest, conversation) for conversation, digest in found)

    async def whole(self, tenant: str, messages: Sequence[StoredMessage]) -> Sequence[StoredMessage]:
        """Return messages with their data."""
        data: dict[str, bytes] = {}
        for batch in _batches(sizes_of(messages)):
            keys = [attachment_keys(self._redis, tenant, digest)[0] for digest in batch]
            found = await self._redis.call_all([("GET", key) for key in keys])
            data |= {digest: each for digest, each in zip(batch, found, strict=True) if each is not None}
        size = sum(place.size for message in messages for place in message.attached)
        return await off_loop(size, _each_whole, messages, data)

    def _command(self, script: str, tenant: str, digest: str, *arguments: str | bytes | int) -> Command:
        return ("EVAL", script, 2, *attachment_keys(self._redis, tenant, digest), *arguments)

    async def _call(self, commands: Iterable[Command]) -> None:
        if found := list(commands):
            await self._redis.call_all(found)


def _each_parted(messages: Sequence[StoredMessage]) -> list[Parted]:
    return [parted(message) for message in messages]


def _each_whole(messages: Sequence[StoredMessage], data: Mapping[str, bytes]) -> list[StoredMessage]:
    return [whole(message, data) for message in messages]


def _batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield the digests in groups that may go together."""
    batch, total = list[str](), 0
    for digest, size in sizes.items():
        if batch and total + size > MAX_BATCH_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(digest)
        total += size
    if batch:
        yield batch
