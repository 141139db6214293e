"""Writes to Redis what gathers in a pod: in the background, again after an outage, and the rest at the pod's end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from chatfleet_api.domain.errors import ChatError

RETRY_SECONDS: Final = 1.0
CLOSING_SECONDS: Final = 5.0
"""Longest that the end of a pod waits for Redis to take what is left, if its owner sets no other time."""


class BackgroundWriter:
    """Calls `write` whenever there is work; what it could not write stays with its owner, and is written later."""

    def __init__(
        self,
        write: Callable[[], Awaitable[None]],
        lost: Callable[[], None],
        *,
        delay: float = 0.0,
        closing: float = CLOSING_SECONDS,
    ) -> None:
        """`write` writes all that has gathered, or raises `ChatError`; a repeat of it must change nothing.

        `lost` is called when the pod ends while Redis does not answer. `delay`: seconds in which more may gather.
        `closing`: longest that the end of the pod waits for Redis.
        """
        self._write = write
        self._lost = lost
        self._delay = delay
        self._closing = closing
        self._work = asyncio.Event()

    def wake(self) -> None:
        """Have it write soon; never waits."""
        self._work.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Write while the block lasts, and what is left at its end."""
        writing = asyncio.create_task(self._write_forever())
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.wait([writing])
            await self._write_rest()

    async def _write_forever(self) -> None:
        while True:
            await self._work.wait()
            await asyncio.sleep(self._delay)
            if not await self._try():
                await asyncio.sleep(RETRY_SECONDS)

    async def _write_rest(self) -> None:
        try:
            async with asyncio.timeout(self._closing):
                while not await self._try():  # noqa: ASYNC110  # Redis has no event for its return
                    await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            self._lost()

    async def _try(self) -> bool:
        """Write; returns whether Redis took all of it."""
        self._work.clear()
        try:
            await self._write()
        except ChatError:
            self._work.set()
            return False
        return True
