"""The ports of runs: the log, where events outlive the process that made them, and the fleet, where runs outlive it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Batch, Start
from chatfleet_api.domain.request import ChatRequest

RunState: TypeAlias = Literal["open", "ended", "unknown"]
"""What a log knows of a run: it goes on (or its producer died), it ended, or it is not (or no longer) known."""


class Fence(NamedTuple):
    """A producer's turn at a run that belongs to the fleet."""

    epoch: int = 0
    """How often the run was taken over. What an older epoch appends is refused."""
    after: int = 0
    """Number of the last event that the producers before have logged."""


class Producer(Protocol):
    """Who writes a run of the fleet, as the log sees it."""

    @property
    def fence(self) -> Fence:
        """The producer's turn."""
        ...

    def publish_committed(self, seq: int) -> None:
        """Let readers have what came up to `seq`: it is stored, or cannot be just now."""
        ...

    def fence_off(self, seq: int) -> None:
        """Stop: another pod writes the run now, from what follows `seq` on; the log has nothing beyond it of ours."""
        ...


class RunLog(Protocol):
    """Append-only logs of runs, readable by any process of the fleet while they run and for some time after their end.

    Run ids are UUIDv7 text, unique in the fleet. No method sees across tenants. Times are seconds.
    """

    def append(self, tenant: str, run: str, batch: Batch, by: Producer | None = None) -> None:
        """Take the next batch of a run (its `first` follows the last one's `last`). Never waits: it is written soon.

        `by` is told when it is written, or refused because another pod has taken the run over. None: a run that nobody
        takes over.
        """
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

    def leave(self) -> None:
        """Let readers go elsewhere for what is still to come, because this pod ends."""
        ...

    async def state(self, tenant: str, run: str) -> RunState:
        """Tell what the log knows of the run; raise `ChatError(STORAGE_UNAVAILABLE)` when it cannot be reached."""
        ...

    async def ping(self) -> None:
        """Raise `ChatError(STORAGE_UNAVAILABLE)` when the log cannot be reached."""
        ...


class RunRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What another pod needs to know of a run to take it over."""

    tenant: str
    start: Start
    request: ChatRequest


class Moved(ChatError):  # noqa: N818  # no failure
    """The run goes on, but this pod ends: whoever reads it here is to come back, to another pod, for the rest."""

    def __init__(self) -> None:
        super().__init__(Code.DRAINING, retry_after=1.0)


class Orphan(NamedTuple):
    """A run whose pod died, or handed it over."""

    pod: str
    tenant: str
    run: str
    seconds: float = 0.0
    """For how long nobody has produced it, as far as the observer knows."""


class HeartbeatResult(NamedTuple):
    """What one look at the fleet found for this pod to do. Runs are tenant and id."""

    cancelled: Sequence[tuple[str, str]]
    """Runs of ours that somebody wants cancelled."""
    lost: Sequence[tuple[str, str, int]]
    """Runs of ours that another pod has taken over, and after which event."""
    orphans: Sequence[Orphan]
    """Our share of what is to be taken over, as much as one heartbeat may take at most."""
    due: float
    """Seconds until the next pod is dead, should it go on being silent: then is the time to look again."""


class Claim(NamedTuple):
    """A run that is ours now."""

    record: RunRecord
    fence: Fence
    cancelled: bool = False
    """Whether somebody asked for its end."""
    seconds: float = 0.0
    """For how long nobody has produced it, as far as we know."""


class Fleet(Protocol):
    """The pods that share a log, seen from one of them."""

    def begin(self, record: RunRecord) -> AbstractAsyncContextManager[None]:
        """Make a run the fleet's: from now on another pod takes it over when this one dies.

        Start it within the block; an error there takes the run back. Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        ...

    def has_successors(self) -> bool:
        """Tell whether another pod lives that takes runs over."""
        ...

    def mark_for_handoff(self, runs: Sequence[tuple[str, str]]) -> None:
        """Take note that runs are to be handed over: until they are, others find them as runs of a pod that died."""
        ...

    async def hand_over(self, runs: Sequence[tuple[str, str]]) -> None:
        """Give runs up, by tenant and id, so that other pods take them over at once; all of them is in the log.

        Raises `ChatError(STORAGE_UNAVAILABLE)`: then they do so when they find that this pod has ended.
        """
        ...

    async def cancel(self, tenant: str, run: str) -> bool:
        """Ask whichever pod produces the run to cancel it, and return whether the run was still going on.

        Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        ...
