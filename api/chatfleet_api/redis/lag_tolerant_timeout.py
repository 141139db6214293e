"""A timeout that tolerates the lag of the event loop itself: a late reply is not blamed on the server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

LAG_SECONDS: Final = 0.02
"""A timer that fires later than this shows a busy loop: a reply may have come, and not been read yet."""
CHECK_SECONDS: Final = 0.2
"""Between two checks whether the loop is late; also what a reply gets at least after one that was."""
MAX_EXTRA_SECONDS: Final = 2.0
"""Most that all lag together can add."""


@asynccontextmanager
async def lag_tolerant_timeout(seconds: float) -> AsyncGenerator[None, None]:
    """Raise `TimeoutError` when the block takes longer than `seconds` in which the event loop was there to see it end.

    Time by which the loop was late is not counted, whether that was at the deadline or before.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    latest = deadline + MAX_EXTRA_SECONDS
    timer: asyncio.TimerHandle

    def later() -> asyncio.TimerHandle:
        due = min(loop.time() + CHECK_SECONDS, deadline)
        return loop.call_at(due, check, due)

    def check(due: float) -> None:
        nonlocal deadline, timer
        now = loop.time()
        late = now - due
        if late > LAG_SECONDS:
            deadline = min(max(deadline + late, now + CHECK_SECONDS), latest)
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
