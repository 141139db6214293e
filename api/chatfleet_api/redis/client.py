"""One Redis, however many servers it is made of: how it is found, spoken to, and what its failures mean.

The only code that imports the client. Its defaults are not ours: see `docs/decisions/0301-redis-client.md`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ReadOnlyError, RedisClusterException, RedisError

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.lag_tolerant_timeout import lag_tolerant_timeout
from chatfleet_api.redis.url import RedisAddress, read_redis_url

CONNECTIONS: Final = 6
"""Commands that run at a time, each on a connection of its own (per server of a cluster); more wait their turn."""
WAITS: Final = 4
"""Writes that wait for replicas at a time, beyond those: a replica that hangs must hold up nothing else."""
REPLICA_SECONDS: Final = 0.5
"""Longest that a write waits for replicas."""
ANSWER_SECONDS: Final = 0.8
"""Longest that a caller waits, for its turn and for the answer together: who asks a pod is told within a second."""
SOCKET_SECONDS: Final = 1.5 * ANSWER_SECONDS
"""After so long without an answer a connection is given up; longer, so that it is not our own lateness either."""
RETRY_SECONDS: Final = 2.0
"""What a caller is told to wait when Redis cannot be reached."""

Command: TypeAlias = tuple[str | bytes | int, ...]
Operation: TypeAlias = Callable[[Redis | RedisCluster], Awaitable[Any]]
_CLOSED: Final = RuntimeError
"""What uvloop raises, and the client lets through, for a write to a connection that was reset a moment ago."""
_Failures: Final = (RedisError, RedisClusterException, OSError, TimeoutError, _CLOSED, ValueError)

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

    def follow(self) -> None:
        """Use the URL as it is now: a password, or the whole Redis, may have changed.

        Raises:
            OSError: the URL cannot be read.
            ValueError: it is none.
        """
        url = self._read_url()
        if url == self._url:
            return
        address, former = read_redis_url(url), self._closing
        self._closing = AsyncExitStack()
        self._client, self._url = _client(address, self._closing), url
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
        self._require_keeping()
        return await self._answered(lambda client: client.execute_command(*command))

    async def call_all(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to independent commands that are sent together, as `call` does for one."""
        self._require_keeping()

        async def run(client: Redis | RedisCluster) -> Any:  # noqa: ANN401
            pipeline = client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute()

        replies: list[Any] = await self._answered(run)
        return replies

    async def call_replicated(self, command: Command, key: str, *, ttl_seconds: int, replicas: int) -> Any:  # noqa: ANN401
        """Return the reply to one command that writes to `key`, when so many replicas have what it wrote.

        Raises `ChatError(STORAGE_UNAVAILABLE)` as `call` does, and when too few have it in time: it is stored then, and
        a failover may lose it.
        """
        self._require_keeping()
        milliseconds = round(REPLICA_SECONDS * 1000)
        # WAIT is about what its own connection wrote last, which after a lost reply would be nothing: hence the EXPIRE.
        confirmation = (("EXPIRE", key, ttl_seconds), ("WAIT", replicas, milliseconds))
        reply, _, reached = await self._answered(
            lambda client: together(client, key, command, confirmation), self._waits
        )
        if reached < replicas:
            detail = f"{reached} of {replicas} replicas have what was written"
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=detail)
        return reply

    async def ping(self) -> None:
        """Return when Redis answers; raises as `call` does."""
        await self.call("PING")

    async def check(self) -> None:
        """Return when Redis answers and keeps what it is given; raises as `call` does.

        While it may evict, every command is refused: what was acknowledged would be lost without a word. INFO tells
        it, which is allowed where CONFIG is not.
        """
        found = await self._answered(lambda client: client.execute_command("INFO", "memory"))
        servers = [found] if "maxmemory_policy" in found else found.values()
        evicting = {server["maxmemory_policy"] for server in servers} - {"noeviction"}
        refused = f"Redis may evict what it holds (maxmemory-policy {', '.join(sorted(evicting))}); set noeviction"
        if evicting and self._refused is None:
            logger.error("Redis is not used: %s", refused)
        self._refused = refused if evicting else None
        self._require_keeping()

    def _require_keeping(self) -> None:
        if self._refused is not None:
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=self._refused)

    async def _answered(self, operation: Operation, slots: asyncio.Semaphore | None = None) -> Any:  # noqa: ANN401
        """Run `operation` in a task of its own: a caller may leave, but a command is never torn from its reply."""
        slots = slots or self._slots
        task: asyncio.Future[Any] | None = None
        try:
            async with lag_tolerant_timeout(ANSWER_SECONDS):
                await slots.acquire()
                task = self._begin(operation, slots)
                reply = await asyncio.shield(task)
        except _Failures as error:
            reason = f"{type(error).__name__} {error}" if task else "all connections are busy"
            if task and self._reachable:
                self._reachable = False
                logger.warning("Redis cannot be used: %s", reason)
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=reason) from error
        if not self._reachable:
            self._reachable = True
            logger.warning("Redis can be used again")
        return reply

    def _begin(self, operation: Operation, slots: asyncio.Semaphore) -> asyncio.Future[Any]:
        """Start `operation` in the slot that was taken for it."""
        task = asyncio.ensure_future(self._operate(operation))
        task.add_done_callback(lambda _: slots.release())
        self._keep(task)
        return task

    async def _operate(self, operation: Operation) -> Any:  # noqa: ANN401
        if self._client is None or not self._reachable:
            self.follow()
        return await operation(cast("Redis | RedisCluster", self._client))

    def _keep(self, task: asyncio.Future[Any]) -> None:
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits has it; nobody else needs it

    async def aclose(self) -> None:
        """Wait for the commands under way; callers must have ended."""
        if self._running:
            await asyncio.wait(self._running, timeout=ANSWER_SECONDS)
        for task in self._running:
            task.cancel()
        await self._closing.aclose()


@asynccontextmanager
async def open_redis(url: str | Path, namespace: str, deployment: str) -> AsyncGenerator[RedisClient, None]:
    """Yield the Redis at `url` with the keys of one ChatDeployment. Connects when it is used: it need not be there yet.

    A file that holds the URL need not be there either; it is read again whenever Redis cannot be used.

    Raises:
        ValueError: `url` is not one.
    """
    redis_client = RedisClient(
        lambda: url if isinstance(url, str) else url.read_text().strip(), f"{namespace}/{deployment}"
    )
    try:
        redis_client.follow()
    except OSError as unreadable:
        logger.warning("the URL of Redis cannot be read yet: %s", unreadable)
    try:
        yield redis_client
    finally:
        await redis_client.aclose()


async def together(
    client: Redis | RedisCluster, key: str, command: Command, confirmation: Sequence[Command]
) -> Sequence[Any]:
    """Return the replies to `command` and to `confirmation`, the latter sent on one connection to the server of `key`.

    In a cluster the command goes first, by itself: it is what finds the server when the slot has moved.
    """
    if isinstance(client, RedisCluster):
        reply = await client.execute_command(*command)
        return [reply, *await _on_one_connection(client.get_node_from_key(key), confirmation)]
    pipeline = client.pipeline(transaction=False)
    for each in (command, *confirmation):
        pipeline.execute_command(*each)
    replies: list[Any] = await pipeline.execute()
    return replies


async def _on_one_connection(node: ClusterNode | None, commands: Sequence[Command]) -> Sequence[Any]:
    if node is None:
        raise RedisClusterException("no server has the slot")
    connection = node.acquire_connection()
    try:
        replies = []
        for command in commands:
            await connection.send_command(*command)
            replies.append(await connection.read_response())
    except BaseException:
        await connection.disconnect()
        raise
    else:
        return replies
    finally:
        node.release(connection)


def _client(address: RedisAddress, stack: AsyncExitStack) -> Redis | RedisCluster:
    """Return a client that is closed with `stack`."""
    settings = {**_settings(), **address.tls, **address.credentials, "max_connections": CONNECTIONS + WAITS}
    client: Redis | RedisCluster
    match address.topology:
        case "sentinel":
            access = {**_settings(), **address.tls, **address.sentinel_credentials}
            sentinel = Sentinel(address.hosts, sentinel_kwargs=access)  # type: ignore[no-untyped-call]  # redis-py
            for watcher in sentinel.sentinels:
                stack.push_async_callback(watcher.aclose)
            client = sentinel.master_for(address.service, db=address.database, **settings)
        case "cluster":
            client = RedisCluster(startup_nodes=[ClusterNode(*host) for host in address.hosts], **settings)
        case _:
            ((host, port),) = address.hosts
            client = Redis(host=host, port=port, db=address.database, **settings)
    stack.push_async_callback(client.aclose)
    return client


def _settings() -> dict[str, Any]:
    return {
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": ANSWER_SECONDS,
        "health_check_interval": 15,
        "protocol": 2,  # RESP2: no pushed messages to expect, and every server and proxy speaks it
        "driver_info": None,  # or each new connection costs two more commands
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), 2),
        "retry_on_error": [ReadOnlyError, _CLOSED],  # a demoted server still answers; a new connection may find the new
    }
