"""Background tasks of a pod."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

RESTART_SECONDS: Final = 1.0
"""Pause before a background task that failed is restarted."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def background(*tasks: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Run `tasks` while the block lasts. A failure is logged, and its task is restarted."""
    async with AsyncExitStack() as stack:
        for run in tasks:
            stack.push_async_callback(_cancel, asyncio.ensure_future(_restarting(run)))
        yield


async def _restarting(run: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await run()
        except Exception:  # the edge of a task: it must not end, and nothing else must end with it
            logger.exception("A background task failed and is restarted")
        await asyncio.sleep(RESTART_SECONDS)


async def _cancel(task: asyncio.Future[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
