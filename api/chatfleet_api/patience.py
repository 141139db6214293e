"""A deadline for others, which an event loop that is late itself does not blame on them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

LATE_SECONDS: Final = 0.02
"""A timer that fires later than this tells of a loop that is busy. An answer may have come, and nobody has looked."""
MORE_SECONDS: Final = 0.2
"""What an answer gets then, up to `MORE_TIMES`."""
MORE_TIMES: Final = 10


@asynccontextmanager
async def patience(seconds: float) -> AsyncGenerator[None, None]:
    """Raise `TimeoutError` when the block takes longer, though the event loop was there to see it end."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look(due: float, more: int) -> None:
        nonlocal timer
        now = loop.time()
        if more and now - due > LATE_SECONDS:
            timer = loop.call_later(MORE_SECONDS, look, now + MORE_SECONDS, more - 1)
        else:
            scope.reschedule(0)

    timer = loop.call_later(seconds, look, loop.time() + seconds, MORE_TIMES)
    try:
        async with asyncio.timeout(None) as scope:
            yield
    finally:
        timer.cancel()
