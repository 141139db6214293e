"""One Redis, whatever its topology: commands, keys, deadlines, and what its failures mean."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.connect import ANSWER_SECONDS, CLOSED, CONNECTIONS, WAITS, Command, connect
from chatfleet_api.redis.lag_tolerant_timeout import lag_tolerant_timeout
from chatfleet_api.redis.replication import call_together
from chatfleet_api.redis.url import read_redis_url

REPLICA_SECONDS: Final = 0.5
"""Longest that a write waits for replicas."""
RETRY_SECONDS: Final = 2.0
"""Retry-After of a request that fails because Redis is unreachable."""

Operation: TypeAlias = Callable[[Redis | RedisCluster], Awaitable[Any]]
_FAILURES: Final = (RedisError, RedisClusterException, OSError, TimeoutError, CLOSED, ValueError)

logger = logging.getLogger(__name__)


class RedisClient:
    """A Redis and the keys of one ChatDeployment in it.

    Every command that is called here must be harmless when it arrives twice: it is repeated after a lost reply.
    """

    def __init__(self, read_url: Callable[[], str], prefix: str) -> None:
        self._read_url = read_url
        self._url: str | None = None
        self._client: Redis | RedisCluster | None = None
        self._closing = AsyncExitStack()
        self._reachable = True
        self._refused: str | None = None
        self._prefix = prefix
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._waits = asyncio.Semaphore(WAITS)
        self._running: set[asyncio.Future[Any]] = set()

    @property
    def clustered(self) -> bool:
        """Whether the keys of one command, or script, must share a hash tag."""
        return isinstance(self._client, RedisCluster)

    def reload_url(self) -> None:
        """Read the URL again, and use it: a password, or the whole Redis, may have changed.

        Raises:
            OSError: the URL cannot be read.
            ValueError: it is not valid.
        """
        url = self._read_url()
        if url == self._url:
            return
        address, former = read_redis_url(url), self._closing
        self._closing = AsyncExitStack()
        self._client, self._url = connect(address, self._closing), url
        self._keep(asyncio.ensure_future(former.aclose()))

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
        return await self._request(lambda client: client.execute_command(*command))

    async def call_all(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to independent commands that are sent together, as `call` does for one."""
        self._require_noeviction()

        async def run(client: Redis | RedisCluster) -> Any:  # noqa: ANN401
            pipeline = client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute()

        replies: list[Any] = await self._request(run)
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
        reply, _, reached = await self._request(
            lambda client: call_together(client, key, command, confirmation), self._waits
        )
        if reached < replicas:
            detail = f"{reached} of {replicas} replicas acknowledged the write"
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=detail)
        return reply

    async def check(self) -> None:
        """Return when Redis answers and keeps what it is given; raises as `call` does.

        While it may evict keys, every command is refused: acknowledged writes would be lost without notice. The policy
        is read by INFO, which is allowed where CONFIG is not.
        """
        found = await self._request(lambda client: client.execute_command("INFO", "memory"))
        servers = [found] if "maxmemory_policy" in found else found.values()
        evicting = {server["maxmemory_policy"] for server in servers} - {"noeviction"}
        refused = f"Redis may evict keys (maxmemory-policy {', '.join(sorted(evicting))}); set it to noeviction"
        if evicting and self._refused is None:
            logger.error("Refusing to use Redis: %s", refused)
        self._refused = refused if evicting else None
        self._require_noeviction()

    def _require_noeviction(self) -> None:
        if self._refused is not None:
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=self._refused)

    async def _request(self, operation: Operation, slots: asyncio.Semaphore | None = None) -> Any:  # noqa: ANN401
        """Run `operation` in a task of its own: callers may be cancelled, a command is never torn from its reply."""
        slots = slots or self._slots
        task: asyncio.Future[Any] | None = None
        try:
            async with lag_tolerant_timeout(ANSWER_SECONDS):
                await slots.acquire()
                task = self._begin(operation, slots)
                reply = await asyncio.shield(task)
        except _FAILURES as error:
            reason = f"{type(error).__name__} {error}" if task else "all connections are busy"
            if task and self._reachable:
                self._reachable = False
                logger.warning("Redis is unreachable: %s", reason)
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=reason) from error
        if not self._reachable:
            self._reachable = True
            logger.warning("Redis is reachable again")
        return reply

    def _begin(self, operation: Operation, slots: asyncio.Semaphore) -> asyncio.Future[Any]:
        """Start `operation` in the slot that was taken for it."""
        task = asyncio.ensure_future(self._operate(operation))
        task.add_done_callback(lambda _: slots.release())
        self._keep(task)
        return task

    async def _operate(self, operation: Operation) -> Any:  # noqa: ANN401
        if self._client is None or not self._reachable:
            self.reload_url()
        return await operation(cast("Redis | RedisCluster", self._client))

    def _keep(self, task: asyncio.Future[Any]) -> None:
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # a caller that still waits has it; nothing else needs it

    async def aclose(self) -> None:
        """Wait for the commands under way; callers must have ended."""
        if self._running:
            await asyncio.wait(self._running, timeout=ANSWER_SECONDS)
        for task in self._running:
            task.cancel()
        await self._closing.aclose()


@asynccontextmanager
async def open_redis(url: str | Path, namespace: str, deployment: str) -> AsyncGenerator[RedisClient, None]:
    """Yield the Redis at `url` with the keys of one ChatDeployment. It connects on first use.

    A file that holds the URL may appear later; it is read again whenever Redis is unreachable.

    Raises:
        ValueError: `url` is not valid.
    """
    redis = RedisClient(lambda: url if isinstance(url, str) else url.read_text().strip(), f"{namespace}/{deployment}")
    try:
        redis.reload_url()
    except OSError as unreadable:
        logger.warning("Cannot read the URL of Redis yet: %s", unreadable)
    try:
        yield redis
    finally:
        await redis.aclose()
