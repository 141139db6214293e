"""A deadline that is moved at every read of a stream, and so must cost next to nothing to move.

`asyncio.timeout` around each read costs 5.5 µs (two timer operations and a context manager), a third of a token's
whole budget; this costs two attributes.
"""

import asyncio
from collections.abc import Callable

from chatfleet_api.domain.errors import Code


class Watchdog:
    """Calls `on_expiry` once, when the running event loop's time has passed a deadline, which means `code`."""

    def __init__(self, on_expiry: Callable[[], None], until: float, code: Code) -> None:
        self.expired: Code | None = None
        """The meaning of the deadline that has passed."""
        self._on_expiry = on_expiry
        self._until = until
        self._code = code
        self._loop = asyncio.get_running_loop()
        self._arm()

    def move(self, until: float, code: Code) -> None:
        """Replace the deadline."""
        self._until = until
        self._code = code
        if until < self._fires_at:
            self._timer.cancel()
            self._arm()

    def stop(self) -> None:
        self._timer.cancel()

    def _arm(self) -> None:
        self._fires_at = self._until
        self._timer = self._loop.call_at(self._until, self._fire)

    def _fire(self) -> None:
        if self._loop.time() < self._until:
            self._arm()
        else:
            self.expired = self._code
            self._on_expiry()
