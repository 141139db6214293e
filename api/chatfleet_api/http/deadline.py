"""A deadline that is moved at every read of a stream, and so must cost next to nothing to move.

`asyncio.timeout` around each read costs 5.5 µs (two timer operations and a context manager), a third of a token's whole
budget; this costs two attributes.
"""

import asyncio
from collections.abc import Callable

from chatfleet_api.domain.errors import Code


class Watchdog:
    """Calls `bite` once, when the event loop's time has passed a deadline."""

    def __init__(self, bite: Callable[[], None], until: float, late: Code) -> None:
        """Watch until then, in the running loop's time; `late` is what it means when that passes."""
        self.bit: Code | None = None
        """What the deadline meant that has passed."""
        self._bite = bite
        self._until = until
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._arm()

    def move(self, until: float, late: Code) -> None:
        """Watch another deadline instead."""
        self._until = until
        self._late = late
        if until < self._looks_at:
            self._timer.cancel()
            self._arm()

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _arm(self) -> None:
        self._looks_at = self._until
        self._timer = self._loop.call_at(self._until, self._look)

    def _look(self) -> None:
        if self._loop.time() < self._until:
            self._arm()
        else:
            self.bit = self._late
            self._bite()
