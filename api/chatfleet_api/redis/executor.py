"""Runs operations on one Redis: within bounds of time and number, and with a new client when the URL has changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeAlias, cast

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoPermissionError, RedisClusterException, RedisError

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.connect import ANSWER_SECONDS, CLOSED, CONNECTIONS, WAITS, connect
from chatfleet_api.redis.lag_tolerant_timeout import lag_tolerant_timeout
from chatfleet_contract.redis_url import read_redis_url

RETRY_SECONDS: Final = 2.0
"""Retry-After of a request that fails because Redis is unreachable."""

Operation: TypeAlias = Callable[[Redis | RedisCluster], Awaitable[Any]]
_FAILURES: Final = (RedisError, RedisClusterException, OSError, TimeoutError, CLOSED, ValueError)
_IN_SCRIPT: Final = "The user executing the script can't"
"""How Redis words, within a script, that an ACL forbids a command or a key."""

logger = logging.getLogger(__name__)


class Executor:
    """The connection to a Redis: operations, each in a slot, and whether it is reachable."""

    def __init__(self, read_url: Callable[[], str], ca_bundle: str | None = None) -> None:
        self._read_url = read_url
        self._ca_bundle = ca_bundle
        self._url: str | None = None
        self._client: Redis | RedisCluster | None = None
        self._closing = AsyncExitStack()
        self._reachable = True
        self.failures = 0
        """Operations that failed."""
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._waits = asyncio.Semaphore(WAITS)
        self._running: set[asyncio.Future[Any]] = set()

    @property
    def clustered(self) -> bool:
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
        address, former = read_redis_url(url, self._ca_bundle), self._closing
        self._closing = AsyncExitStack()
        self._client, self._url = connect(address, self._closing), url
        self._keep(asyncio.ensure_future(former.aclose()))

    def url_problem(self) -> str | None:
        """Return why the URL that is to be used is not valid. A client that works keeps its former one."""
        try:
            url = self._read_url()
            if url != self._url:
                read_redis_url(url)
        except OSError:
            return None  # it may come yet; until then Redis is down
        except UnicodeDecodeError:
            return "the URL of Redis is not UTF-8"
        except ValueError as error:
            return str(error)
        return None

    async def run(self, operation: Operation, *, waits: bool = False) -> Any:  # noqa: ANN401
        """Run `operation` in a task of its own: callers may be cancelled, a command is never torn from its reply.

        One that `waits` for replicas has a slot of its own kind. Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        slots = self._waits if waits else self._slots
        task: asyncio.Future[Any] | None = None
        try:
            async with lag_tolerant_timeout(ANSWER_SECONDS):
                await slots.acquire()
                task = self._begin(operation, slots)
                reply = await asyncio.shield(task)
        except _FAILURES as error:
            self.failures += 1
            reason = _reason(error) if task else "all connections are busy"
            if task and self._reachable:
                self._reachable = False
                logger.warning("Redis cannot be used: %s", reason)
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=reason) from error
        if not self._reachable:
            self._reachable = True
            logger.warning("Redis can be used again")
        return reply

    async def listen(self, operation: Operation) -> Any:  # noqa: ANN401
        """Run an `operation` that waits in Redis for something to come; it ends with its caller.

        Raises `ChatError(STORAGE_UNAVAILABLE)`, which counts as no failure: that is for operations with a deadline.
        """
        try:
            return await self._operate(operation)
        except _FAILURES as error:
            raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=_reason(error)) from error

    async def aclose(self) -> None:
        """Wait for the operations under way; callers must have ended."""
        if self._running:
            await asyncio.wait(self._running, timeout=ANSWER_SECONDS)
        for task in self._running:
            task.cancel()
        await self._closing.aclose()

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


def _reason(error: BaseException) -> str:
    """Return why an operation failed; the client may hide that an ACL forbids it behind an error of its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NoPermissionError) or _IN_SCRIPT in str(cause):
            return f"Redis refuses a command: {cause}; grant its user what the documentation of Redis lists"
        cause = cause.__cause__ or cause.__context__
    return f"{type(error).__name__} {error}"
