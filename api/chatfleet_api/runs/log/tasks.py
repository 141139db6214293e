"""Background tasks."""

import asyncio
from contextlib import suppress


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
