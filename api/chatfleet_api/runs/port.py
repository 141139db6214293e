"""The port of the run log: where events outlive the process that made them."""

from collections.abc import AsyncGenerator
from typing import Literal, Protocol, TypeAlias

from chatfleet_api.chat.events import Batch

RunState: TypeAlias = Literal["open", "ended", "unknown"]
"""What a log knows of a run: it goes on (or its producer died), it ended, or it is not (or no longer) known."""


class RunLog(Protocol):
    """Append-only logs of runs, readable by any process of the fleet while they run and for some time after their end.

    Run ids are UUIDv7 text, unique in the fleet. No method sees across tenants. Times are seconds.
    """

    def append(self, tenant: str, run: str, batch: Batch) -> None:
        """Take the next batch of a run (its `first` follows the last one's `last`). Never waits: it is written soon."""
        ...

    async def flush(self, tenant: str, run: str) -> None:
        """Return when all that was appended to `run` is stored; raise `ChatError(STORAGE_UNAVAILABLE)` if not."""
        ...

    def read(self, tenant: str, run: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield what comes after sequence number `after`, each event once and in order, until the terminal event.

        Raises `ChatError(NOT_FOUND)` for a run that is not, or no longer, known, or whose next event was lost with the
        storage, and `ChatError(STORAGE_UNAVAILABLE)` when the log cannot be reached.
        """
        ...

    async def state(self, tenant: str, run: str) -> RunState:
        """Tell what the log knows of the run; raise `ChatError(STORAGE_UNAVAILABLE)` when it cannot be reached."""
        ...

    async def ping(self) -> None:
        """Raise `ChatError(STORAGE_UNAVAILABLE)` when the log cannot be reached."""
        ...
