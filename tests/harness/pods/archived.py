"""A ChatDeployment with an archive, without its pods' other parts: conversations in Redis and in PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from uuid_utils import uuid7

from chatfleet_api.archive.archived import kept_until_archived
from chatfleet_api.archive.keeper import ArchiveKeeper
from chatfleet_api.archive.marks import Marks, writer_key
from chatfleet_api.archive.opening import ArchivedParts
from chatfleet_api.archive.postgres import PostgresArchive
from chatfleet_api.domain.live import Live
from chatfleet_api.pod.configuration import local
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.lease import Lease
from chatfleet_api.sessions.keys import conversation_keys
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.sessions.redis_feedback import RedisFeedbackStore
from chatfleet_api.sessions.store import Append, Conversation, StoredMessage
from chatfleet_contract.runtime import RuntimeConfig
from harness.pods.live import fixed
from harness.pods.runs import conversations
from harness.polling import eventually_async
from harness.postgres import end_connections

NOW = "2026-01-02T03:04:05.678+00:00"
SETTLING = 0.3
TENANTS = ("acme", "other")
TTL = 3600
NOWHERE = "postgresql://user@127.0.0.1:1/name"
"""Nothing listens there."""


class Shop:
    """A ChatDeployment with an archive: its stores, and pods that archive."""

    def __init__(
        self,
        redis: RedisClient,
        url: str,
        folder: Path,
        *,
        lease: Callable[..., Lease] = Lease,
        settling: float = SETTLING,
    ) -> None:
        self.redis, self.url, self._lease = redis, url, lease
        self._file = folder / "postgres"
        self._file.write_text(url)
        self.marks = Marks(redis, settling=settling)
        self.config = local().model_copy(
            update={"archive_url_file": str(self._file), "conversations": conversations(ttl_seconds=TTL)()}
        )
        kept = conversations(ttl_seconds=TTL).map(lambda live: kept_until_archived(live, archived=True))
        parts = ArchivedParts(redis, fixed(self.config), self.marks, self._available)
        self.in_redis = RedisSessionStore(redis, kept, fixed(0))
        self.sessions, self.feedback = parts.sessions(self.in_redis), parts.feedback(RedisFeedbackStore(redis))
        self._pods: list[ArchiveKeeper] = []

    @asynccontextmanager
    async def pod(self) -> AsyncIterator[ArchiveKeeper]:
        async with archiving(self.redis, fixed(self.config), self.marks, self._lease) as keeper:
            self._pods.append(keeper)
            try:
                yield keeper
            finally:
                self._pods.remove(keeper)

    async def _available(self) -> PostgresArchive | None:
        """Return the archive of a pod that runs; None: that is down."""
        return await self._pods[0].available() if self._pods else None

    async def expire(self, conversation: str, tenant: str = "acme") -> None:
        """Let Redis forget a conversation that is archived, as it does after `ttlSeconds`."""
        await self.archived()
        await self.redis.call("DEL", *conversation_keys(self.redis, tenant, conversation))

    async def archived(self) -> None:
        """Return when nothing waits."""

        async def empty() -> bool:
            return (await self.marks.look(0)).size == 0

        await eventually_async(empty)

    async def down(self, keeper: ArchiveKeeper) -> None:
        """Let a pod lose PostgreSQL, and return when it knows."""
        self._file.write_text(NOWHERE)
        end_connections(self.url)
        await eventually_async(lambda: keeper.down)

    async def up(self, keeper: ArchiveKeeper) -> None:
        """Let PostgreSQL be where it was."""
        self._file.write_text(self.url)
        await eventually_async(lambda: not keeper.down)

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Let nobody read a table within the block."""
        with psycopg.connect(self.url) as connection:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            yield

    def rows(self, query: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(query.encode()).fetchall()

    async def conversation(self, tenant: str = "acme", *, now: str = NOW, user: str = "ann") -> str:
        made = Conversation(str(uuid7()), user, "A title", {"k": ["v", 1]}, now, now)
        await self.sessions.create(tenant, made)
        return made.id

    async def say(self, conversation: str, *messages: StoredMessage, tenant: str = "acme") -> None:
        await self.sessions.append(tenant, conversation, Append(messages, now=NOW, expected_version=None))


def message(content: str, **fields: Any) -> StoredMessage:  # noqa: ANN401
    return StoredMessage(str(uuid7()), "user", content, NOW, **fields)


@asynccontextmanager
async def archiving(
    redis: RedisClient, config: Live[RuntimeConfig], marks: Marks | None = None, lease: Callable[..., Lease] = Lease
) -> AsyncIterator[ArchiveKeeper]:
    """Archive, as a pod does."""
    held = lease(redis, writer_key(redis), str(uuid7()), clock=time.monotonic)
    keeper = ArchiveKeeper(redis, config, held, marks or Marks(redis, settling=SETTLING))
    tasks = [asyncio.create_task(part) for part in (keeper.run(), keeper.watch())]
    try:
        yield keeper
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
