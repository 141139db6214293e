"""What every run log promises: events outlive the process that produced them, and any pod can read them."""

from collections.abc import AsyncGenerator, Callable
from typing import Literal, NamedTuple, Protocol, TypeAlias

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.tail import Batch
from chatfleet_api.usage.settlement import Settlement
from chatfleet_api.webhooks.event import Notice

AfterEnd: TypeAlias = Callable[[Settlement | None, Notice | None], None]
"""Counts a run that has ended, and queues its event, where the step that stores the end cannot: on a cluster."""
RunState: TypeAlias = Literal["open", "ended", "unknown"]
"""What a log knows of a run: it goes on (or its producer died), it ended, or it is not (or no longer) known."""


class End(NamedTuple):
    """How far the events of a run reach: the number of the last one, and whether it is the terminal one."""

    last: int
    terminal: bool


class Producer(Protocol):
    """Writes a run of the fleet; the log's view of it."""

    @property
    def fence(self) -> Fence:
        """The producer's fencing token."""
        ...

    @property
    def settlement(self) -> Settlement | None:
        """What the step that stores the end of the run has to add to the ledger; None: nothing."""
        ...

    @property
    def notice(self) -> Notice | None:
        """What the step that stores the end of the run has to queue for webhooks; None: nothing."""
        ...

    def publish_committed(self, seq: int) -> None:
        """Show readers what came up to `seq`: it is stored, or cannot be at the moment."""
        ...

    def fence_off(self, seq: int) -> None:
        """Stop: another pod writes the run now, from what follows `seq` on; the log has nothing of ours beyond it."""
        ...


class RunLog(Protocol):
    """Append-only logs of runs, readable by any process of the fleet while they run and for some time after their end.

    Run ids are UUIDv7 text, unique in the fleet. No method sees across tenants. Times are seconds.
    """

    def append(self, tenant: str, run: str, batch: Batch, producer: Producer | None = None) -> None:
        """Take the next batch of a run (its `first` follows the last one's `last`). Never waits: it is written soon.

        `producer` learns when it is committed, or refused because another pod has taken the run over. None: a run that
        belongs to this pod alone.
        """
        ...

    def is_writing(self, tenant: str, run: str) -> bool:
        """Return whether something of the run is still to be written here, or may be."""
        ...

    async def flush(self, tenant: str, run: str) -> None:
        """Return when all that was appended to `run` is stored; raise `ChatError(STORAGE_UNAVAILABLE)` if not."""
        ...

    def read(self, tenant: str, run: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield what comes after sequence number `after`, each event once and in order, until the terminal event.

        Raises `ChatError(NOT_FOUND)` for a run that is not, or no longer, known, or whose next event was lost with the
        storage (as when it ended before `after`), `ChatError(STORAGE_UNAVAILABLE)` when the log cannot be reached, and
        `Moved` when more is to come and this pod ends.
        """
        ...

    async def state(self, tenant: str, run: str) -> RunState:
        """Return what the log knows of the run; raise `ChatError(STORAGE_UNAVAILABLE)` when it cannot be reached."""
        ...

    async def end(self, tenant: str, run: str) -> End | None:
        """Return how far the run reaches, None for one that is not, or no longer, known.

        Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        ...

    def close_readers(self) -> None:
        """Send readers to other pods for what is still to come, because this pod ends."""
        ...


def unknown_run() -> ChatError:
    """Return the error for a run that the log does not know, or no longer completely."""
    return ChatError(Code.NOT_FOUND, "The stream does not exist, or its events have expired.")


class Moved(ChatError):  # noqa: N818  # no failure
    """The run goes on, but this pod ends: its reader is to reconnect, to another pod, for the rest."""

    def __init__(self) -> None:
        super().__init__(Code.DRAINING, retry_after=1.0)
