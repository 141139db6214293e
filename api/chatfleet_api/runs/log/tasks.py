"""Background tasks."""

import asyncio
from contextlib import suppress
from typing import Final

AGAIN_SECONDS: Final = 10.0
"""After so long a task is cancelled again: longer than what any of them does at its end."""


async def cancel(task: "asyncio.Future[None]") -> None:
    """Cancel `task` and wait for its end. One that has lost its cancellation, as within a timeout, gets another."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN_SECONDS)
    with suppress(asyncio.CancelledError):
        await task
