"""A session with an MCP server: opened by the first call, shared by calls at the same time, closed when it is idle.

The SDK's client belongs to the task that has opened it. Each session has a task of its own, which holds it.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mcp.client.client import Client

IDLE_SECONDS: Final = 300.0
OPEN_SECONDS: Final = 15.0
"""Time of the handshake."""

SESSION_LOST: Final = -31404
"""Code of the error for a request that a server refused because it does not know the session: it was not taken."""

logger = logging.getLogger(__name__)


class SessionFailedError(Exception):
    """No session could be opened; the message has the reason."""


class McpSession:
    """The current session with one server."""

    def __init__(self, make: "Callable[[Callable[[], None]], Client]", name: str) -> None:
        """`make` returns a client that is to be opened, and that calls what it gets when the server's tools change."""
        self._make = make
        self._name = name
        self._opened: asyncio.Future[Client] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._uses = 0
        self.tools_changed = False
        """Whether the server has notified of another list of tools."""

    async def client(self) -> "Client":
        """Return the open client; opens one if there is none. Raises `SessionFailedError`."""
        if self._task is None or self._task.done():
            self._opened = asyncio.get_running_loop().create_future()
            self._closing = asyncio.Event()
            self._task = asyncio.create_task(self._hold(self._opened, self._closing))
        self._uses += 1
        opened = self._opened
        if opened is None:
            raise SessionFailedError("it is closed")
        return await asyncio.shield(opened)

    def drop(self, client: "Client | None" = None) -> None:
        """Close the session: it is broken, or no longer wanted. The next call opens another one.

        With `client`, only if that is still the current one: of several calls the first has dropped it.
        """
        opened = self._opened
        current = opened.result() if opened and opened.done() and not opened.exception() else None
        if client is not None and current is not client:
            return
        self._closing.set()
        self._task = None

    async def aclose(self) -> None:
        """Close the session, and wait for it."""
        task = self._task
        self.drop()
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _hold(self, opened: "asyncio.Future[Client]", closing: asyncio.Event) -> None:
        try:
            await load()
            async with asyncio.timeout(OPEN_SECONDS) as opening, self._make(self._note_change) as client:
                opening.reschedule(None)
                opened.set_result(client)
                await self._until_idle(closing)
        except Exception as error:  # noqa: BLE001  # of the SDK and of the server: whoever waits gets it
            reason = reason_of(error)
            if not opened.done():
                opened.set_exception(SessionFailedError(reason))
                opened.exception()  # it may be that no call waits any more
            else:
                logger.warning("The session with tool server %s ended: %s", self._name, reason)
        finally:
            if not opened.done():  # it was closed meanwhile
                opened.set_exception(SessionFailedError("its session was closed"))
                opened.exception()

    async def _until_idle(self, closing: asyncio.Event) -> None:
        while True:
            uses = self._uses
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await closing.wait()
                    return
            if uses == self._uses:
                return

    def _note_change(self) -> None:
        self.tools_changed = True


async def load() -> None:
    """Import the SDK, which takes a second and 28 MB, in a thread."""
    await asyncio.to_thread(import_module, "chatfleet_api.tools.client")


def reason_of(error: BaseException) -> str:
    """Return the reason of a failure, of a group the first one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it did not respond in time"
    return str(error)[:300] or type(error).__name__
