"""A deadline for others, which an event loop that is late itself does not blame on them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

LATE_SECONDS: Final = 0.02
"""A timer that fires later than this tells of a loop that is busy. An answer may have come, and nobody has looked."""
LOOK_SECONDS: Final = 0.2
"""Between two looks whether the loop is late; also what an answer gets at least after one that was."""
MORE_SECONDS: Final = 2.0
"""What all that can add at most."""


@asynccontextmanager
async def lag_tolerant_timeout(seconds: float) -> AsyncGenerator[None, None]:
    """Raise `TimeoutError` when the block takes longer than `seconds` in which the event loop was there to see it end.

    Time by which the loop was late is not counted, whether that was at the deadline or before.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    latest = deadline + MORE_SECONDS
    timer: asyncio.TimerHandle

    def later() -> asyncio.TimerHandle:
        due = min(loop.time() + LOOK_SECONDS, deadline)
        return loop.call_at(due, look, due)

    def look(due: float) -> None:
        nonlocal deadline, timer
        now = loop.time()
        late = now - due
        if late > LATE_SECONDS:
            deadline = min(max(deadline + late, now + LOOK_SECONDS), latest)
        if now < deadline:
            timer = later()
        else:
            scope.reschedule(0)

    timer = later()
    try:
        async with asyncio.timeout(None) as scope:
            yield
    finally:
        timer.cancel()
