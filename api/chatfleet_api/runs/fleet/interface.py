"""What a fleet promises: the pods that share a run log, where runs outlive the pod that produces them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec

from chatfleet_api.domain.events import Start
from chatfleet_api.domain.ids import RunKey
from chatfleet_api.domain.quota import Held
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.runs.fence import Fence
from chatfleet_api.usage.record import UNKNOWN_CONSUMER, Consumer
from chatfleet_contract.report import FleetDetails


class RunRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What another pod needs to know of a run to take it over."""

    tenant: str
    start: Start
    request: ChatRequest
    consumer: Consumer = UNKNOWN_CONSUMER
    held: Held | None = None
    """What it holds of the limits of its caller."""
    traceparent: str = ""
    """The request that began it, in its trace; empty: it has none."""
    tracestate: str = ""


class Orphan(NamedTuple):
    """A run whose pod died, or handed it over."""

    pod: str
    tenant: str
    run: str
    seconds: float = 0.0
    """For how long no pod has produced it, as far as the observer knows."""


class Claim(NamedTuple):
    """A run that this pod has taken over."""

    record: RunRecord
    fence: Fence
    cancelled: bool = False
    """Whether its end was requested."""
    seconds: float = 0.0
    """For how long no pod has produced it, as far as this one knows."""


class HeartbeatResult(NamedTuple):
    """What a heartbeat found for this pod to do."""

    cancelled: Sequence[RunKey]
    """Runs of ours that are to be cancelled."""
    fenced: Sequence[tuple[str, str, int]]
    """Runs of ours that another pod has taken over, and after which event."""
    orphans: Sequence[Orphan]
    """Our share of what is to be taken over, as much as one heartbeat may take at most."""
    next_expiry: float
    """Seconds until the next lease runs out, unless its pod sends a heartbeat: then is the time for the next one."""
    tapped: bool = False
    """Whether someone listens to the events of all pods."""
    tasks_wanted: bool = False
    """Whether someone wants to know the tasks of all pods."""


class Fleet(Protocol):
    """The pods that share a log, seen from one of them."""

    def begin(self, record: RunRecord) -> AbstractAsyncContextManager[None]:
        """Make a run the fleet's: from now on another pod takes it over when this one dies.

        Start it within the block; an error there takes the run back. Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        ...

    async def cancel(self, tenant: str, run: str) -> bool:
        """Request the cancellation of a run, on whichever pod, and return whether the run was still going on.

        Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        ...

    async def heartbeat(self, is_producing: Callable[[str, str], bool], *, draining: bool) -> HeartbeatResult:
        """Renew this pod's lease, and return what there is to do.

        `is_producing` is about a run of ours, by tenant and id: those that are over are released. A pod that is
        `draining` gets no orphans. Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        ...

    def details(self) -> FleetDetails | None:
        """Return how the fleet looks from here, None when there is none; may be called by another thread."""
        ...

    async def claim(self, orphans: Sequence[Orphan]) -> Sequence[Claim | None]:
        """Take over those of `orphans` that no other pod was quicker to take (None) and that have not ended (None).

        Raises `ChatError(STORAGE_UNAVAILABLE)`; what was taken over by then is found again when this pod dies.
        """
        ...

    def has_successors(self) -> bool:
        """Return whether another pod lives that takes runs over."""
        ...

    def mark_for_handoff(self, runs: Sequence[RunKey]) -> None:
        """Keep runs of ours that are to be handed over, although this pod no longer produces them."""
        ...

    async def hand_over(self, runs: Sequence[RunKey]) -> None:
        """Release runs, so that other pods take them over at once; all their events are in the log.

        Raises `ChatError(STORAGE_UNAVAILABLE)`: then they do so when this pod's lease has run out.
        """
        ...
