"""When API keys were last used on any pod: at most one write per key and minute, many keys in one command.

`Grant.used` has what this pod saw, and costs a request nothing more. What Redis has survives the pods, and is kept for
`KEPT_DAYS` after the last use. The names of its keys disclose neither a key nor its Secret.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.principal import Principal
from chatfleet_api.identity.api_keys import APIKey
from chatfleet_api.redis.background_writer import BackgroundWriter
from chatfleet_api.redis.client import RedisClient

POLL_SECONDS: Final = 5.0
"""Longest until the first use of a key is recorded."""
EACH: Final = timedelta(minutes=1)
"""A use so soon after a recorded one is not recorded, but at the end of the pod."""
KEPT_DAYS: Final = 400
CLOSING_SECONDS: Final = 1.0
"""Longest that the end of a pod waits for Redis to take the last uses."""
MOST: Final = 500
"""Keys in one command."""
NEVER: Final = datetime.fromtimestamp(0, UTC)

RECORD: Final = """
for i = 1, #KEYS do
  if tonumber(ARGV[i + 1]) > tonumber(redis.call('GET', KEYS[i]) or 0) then
    redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1])
  end
end
return 1
"""
"""Keys: those of uses. Arguments: the seconds for which they are kept, then the times: a pod may be late, or repeat."""
_RECORD: Final = RECORD.strip().encode()

logger = logging.getLogger(__name__)


class Uses(NamedTuple):
    """API keys, each with its last use."""

    keys: Sequence[tuple[Principal, datetime | None]]
    whole: bool
    """False: Redis is unreachable, and the uses are those on this pod alone."""


class KeyUses:
    """Records uses for all pods, and reads them."""

    def __init__(self, redis: RedisClient | None, keys: Callable[[], Sequence[APIKey]]) -> None:
        self._redis = redis
        self._keys = keys
        self._recorded: dict[bytes, datetime] = {}
        """By digest of the key."""
        self._least = EACH
        self._writer = BackgroundWriter(self._write, self._lost, closing=CLOSING_SECONDS)

    async def last(self) -> Uses:
        """Return the keys that are accepted, with the last use of each."""
        keys = self._keys()
        try:
            recorded = await self._read(keys)
        except ChatError:
            return Uses([(key.principal, _used(key)) for key in keys], whole=False)
        latest = [max(_used(key) or NEVER, each) for key, each in zip(keys, recorded, strict=True)]
        return Uses(
            [(key.principal, None if at == NEVER else at) for key, at in zip(keys, latest, strict=True)], whole=True
        )

    @asynccontextmanager
    async def recording(self) -> AsyncGenerator[None, None]:
        """Record while the block lasts, and what is left at its end."""
        async with self._writer.running():
            polling = asyncio.create_task(self._poll())
            try:
                yield
            finally:
                polling.cancel()
                await asyncio.wait([polling])
                self._least = timedelta(0)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._due():
                self._writer.wake()

    def _due(self) -> list[tuple[APIKey, datetime]]:
        used = ((key, _used(key) or NEVER) for key in self._keys())
        return [(key, at) for key, at in used if at - self._recorded.get(key.digest, NEVER) > self._least]

    async def _write(self) -> None:
        if self._redis is None:
            return
        known = {key.digest for key in self._keys()}
        self._recorded = {digest: at for digest, at in self._recorded.items() if digest in known}
        while chunk := self._due()[:MOST]:
            names = [use_key(self._redis, key) for key, _ in chunk]
            times = [int(at.timestamp()) for _, at in chunk]
            await self._redis.call("EVAL", _RECORD, len(names), *names, KEPT_DAYS * 86_400, *times)
            self._recorded.update((key.digest, at) for key, at in chunk)

    async def _read(self, keys: Sequence[APIKey]) -> list[datetime]:
        if self._redis is None:
            return [NEVER] * len(keys)
        times = await self._redis.call_all([("GET", use_key(self._redis, key)) for key in keys])
        return [datetime.fromtimestamp(int(each or 0), UTC) for each in times]

    @staticmethod
    def _lost() -> None:
        logger.warning("Redis is unreachable: the last uses of API keys were not recorded")


def use_key(redis: RedisClient, key: APIKey) -> str:
    """Return the key of the last use of an API key: of this value, since a new one under its name is another key."""
    parts = (key.principal.secret or "", key.principal.subject or "")
    mark = hashlib.blake2b("\n".join(parts).encode() + key.digest, digest_size=16)
    return redis.shared_key(f"key-use:{mark.hexdigest()}")


def _used(key: APIKey) -> datetime | None:
    return key.principal.grant.used if key.principal.grant else None
