"""One Redis, whatever its topology: commands, keys, and which Redis is refused."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from redis.asyncio import Redis, RedisCluster

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.connect import Command, call_where
from chatfleet_api.redis.eviction import Eviction, read_eviction
from chatfleet_api.redis.executor import RETRY_SECONDS, Executor
from chatfleet_api.redis.replication import call_together

REPLICA_SECONDS: Final = 0.5
"""Longest that a write waits for replicas."""

_PROBE: Final = "redis.call('EXISTS', KEYS[1]); redis.call('SET', KEYS[1], '1'); return redis.call('DEL', KEYS[1])"
"""A script that writes a key of ours: a replica and a Redis whose memory is full reject it, and an ACL may."""

Entry: TypeAlias = tuple[bytes, dict[bytes, bytes]]
"""Id and fields of an entry of a stream."""

logger = logging.getLogger(__name__)


class RedisClient:
    """A Redis and the keys of one ChatDeployment in it.

    Every command that is called here must be harmless when it arrives twice: it is repeated after a lost reply.
    """

    def __init__(self, executor: Executor, prefix: str) -> None:
        self._executor = executor
        self._prefix = prefix
        self._refused: str | None = None
        self._warned = False

    @property
    def clustered(self) -> bool:
        """Whether the keys of one command, or script, must share a hash tag."""
        return self._executor.clustered

    @property
    def failures(self) -> int:
        """Operations that failed since the start."""
        return self._executor.failures

    def key(self, tenant: str, kind: str, item: str = "") -> str:
        """Return the key of `kind` of one conversation or run; keys of the same item can be used in one script."""
        owner = f"{self._prefix}/{quote(tenant, safe='')}"
        return f"chatfleet:{{{owner}/{item}}}:{kind}" if item else f"chatfleet:{{{owner}}}:{kind}"

    def shared_key(self, kind: str) -> str:
        """Return the key of something that all pods of the ChatDeployment share; all such keys share a slot."""
        return f"chatfleet:{{{self._prefix}}}:{kind}"

    async def call(self, *command: str | bytes | int) -> Any:  # noqa: ANN401  # a reply has the shape of its command
        """Return the reply to one command.

        Raises:
            ChatError: STORAGE_UNAVAILABLE, within `ANSWER_SECONDS`, whatever is wrong with Redis.
        """
        self._require_noeviction()
        return await self._executor.run(lambda client: client.execute_command(*command))

    async def call_all(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to independent commands that are sent together, as `call` does for one."""
        self._require_noeviction()

        async def run(client: Redis | RedisCluster) -> Any:  # noqa: ANN401
            pipeline = client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute()

        replies: list[Any] = await self._executor.run(run)
        return replies

    async def call_replicated(
        self,
        command: Command,
        key: str,
        *,
        ttl_seconds: int,
        replicas: int,
    ) -> Any:  # noqa: ANN401
        """Return the reply to one command that writes to `key`, when as many as `replicas` have what it wrote.

        Raises `ChatError(STORAGE_UNAVAILABLE)` as `call` does, and when too few have it in time: it is stored then, and
        a failover may lose it.
        """
        self._require_noeviction()
        milliseconds = round(REPLICA_SECONDS * 1000)
        # WAIT is about what its own connection wrote last, which after a lost reply would be nothing: hence the EXPIRE.
        confirmation = (("EXPIRE", key, ttl_seconds), ("WAIT", replicas, milliseconds))
        reply, _, reached = await self._executor.run(
            lambda client: call_together(client, key, command, confirmation), waits=True
        )
        if reached < replicas:
            detail = f"{reached} of {replicas} replicas acknowledged the write"
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=detail)
        return reply

    async def wait_for_entries(self, key: str, after: str, *, seconds: float) -> list[Entry]:
        """Return the entries of a stream beyond the id `after`, waiting up to `seconds` for the first of them.

        Raises `ChatError(STORAGE_UNAVAILABLE)`. One such call at a time: it has a connection beyond those of the rest.
        """
        self._require_noeviction()
        command = ("XREAD", "BLOCK", round(1000 * seconds), "STREAMS", key, after)
        streams = await self._executor.listen(lambda client: call_where(client, key, command))
        return [entry for _, entries in streams or () for entry in entries]

    def url_problem(self) -> str | None:
        """Return why the URL that is to be used is not valid, also while a former one is in use."""
        return self._executor.url_problem()

    async def check(self) -> str | None:
        """Return when Redis serves the keys and keeps what it is given; raises as `call` does.

        While it may evict keys, every command is refused. Returns what could not be checked, with the remedy.
        """
        probe = ("EVAL", _PROBE, 1, self.shared_key("probe"))
        await self._executor.run(lambda client: client.execute_command(*probe))
        found: Eviction = await self._executor.run(read_eviction)
        if found.refused and self._refused is None:
            logger.error("Refusing to use Redis: %s", found.refused)
        if found.warning and not self._warned:
            logger.warning("Redis: %s", found.warning)
        self._refused, self._warned = found.refused, found.warning is not None
        self._require_noeviction()
        return found.warning

    def _require_noeviction(self) -> None:
        if self._refused is not None:
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=self._refused)


@asynccontextmanager
async def open_redis(
    url: str | Path, namespace: str, deployment: str, *, ca_bundle: str | None = None
) -> AsyncGenerator[RedisClient, None]:
    """Yield the Redis at `url` with the keys of one ChatDeployment. It connects on first use.

    CAs in the file `ca_bundle` are trusted besides those of the system.

    A file that holds the URL may appear or be corrected later; it is read again whenever Redis is unreachable.

    Raises:
        ValueError: `url` is a text, and not valid.
    """
    executor = Executor(lambda: url if isinstance(url, str) else url.read_text().strip(), ca_bundle)
    try:
        executor.reload_url()
    except (OSError, ValueError) as error:
        if isinstance(url, str):
            raise
        logger.warning("Redis cannot be used yet: %s", executor.url_problem() or error)
    try:
        yield RedisClient(executor, f"{namespace}/{deployment}")
    finally:
        await executor.aclose()
