"""Background tasks of a pod."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from chatfleet_api.domain.unexpected import UnexpectedErrors
from chatfleet_api.runs.log.tasks import cancel

RESTART_SECONDS: Final = 1.0
"""Pause before a background task that failed is restarted."""
LASTING_SECONDS: Final = 60.0
"""A task that ran for so long has succeeded: if it fails again, that is logged again."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def background(*tasks: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Run `tasks` while the block lasts. A failure is logged once, and its task is restarted."""
    async with AsyncExitStack() as stack:
        for run in tasks:
            stack.push_async_callback(cancel, asyncio.ensure_future(_restarting(run)))
        yield


async def _restarting(run: Callable[[], Awaitable[None]]) -> None:
    unexpected, part, time = UnexpectedErrors(logger), "A background task", asyncio.get_running_loop().time
    while True:
        begun = time()
        try:
            await run()
        except Exception as error:  # noqa: BLE001  # the edge of a task, which must not end anything else
            if time() - begun >= LASTING_SECONDS:
                unexpected.succeeded(part)
            unexpected.failed(part, error)
        await asyncio.sleep(RESTART_SECONDS)
