"""Admission: the capacity limit of a pod, and the slots that are held for runs before they start."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.ids import RunKey
from chatfleet_api.domain.live import Live
from chatfleet_api.runs.run import Run
from chatfleet_contract.spec import Streaming
from chatfleet_contract.spec.autoscaling import DEFAULT_TARGET_PERCENT

RETRY_SECONDS: Final = 1.0
"""Retry-After of a refused request: another pod may take it at once."""
NEAR_CAPACITY: Final = DEFAULT_TARGET_PERCENT / 100
"""Share of the capacity, that for which an autoscaler adds pods (`docs/guide/autoscaling.md`)."""


class Admission:
    """The slots of a pod: one for each of its `runs`, and for each that is about to start."""

    def __init__(self, runs: Mapping[RunKey, Run], streaming: Live[Streaming]) -> None:
        self._runs = runs
        self._streaming = streaming
        self._held = 0
        self.draining = False
        """Whether no more runs are taken, because the pod ends."""

    @property
    def max_streams(self) -> int:
        """Most runs at a time: `streaming.maxStreamsPerPod`."""
        return self._streaming().max_streams_per_pod

    @property
    def active(self) -> int:
        """Slots taken: runs that have not ended, and requests admitted to start one."""
        return self._held + sum(not run.ended for run in self._runs.values())

    @property
    def near_capacity(self) -> bool:
        """Whether the next request had better go to another pod: kept connections would go on leading here."""
        return self._held + len(self._runs) >= NEAR_CAPACITY * self.max_streams

    @contextmanager
    def admit(self) -> Generator[None, None, None]:
        """Hold a slot; raises `ChatError(AT_CAPACITY)` or `ChatError(DRAINING)`, with the time to try again."""
        if self.draining:
            raise ChatError(Code.DRAINING, retry_after=RETRY_SECONDS)
        if self._full():
            message = f"The server is at capacity ({self.max_streams} streams)."
            raise ChatError(Code.AT_CAPACITY, message, retry_after=RETRY_SECONDS)
        with self._hold(1):
            yield

    @contextmanager
    def reserve(self, most: int) -> Generator[int, None, None]:
        """Hold the free slots, up to `most`; yields their number."""
        free = min(most, max(self.max_streams - self.active, 0))
        with self._hold(free):
            yield free

    def begin_draining(self) -> None:
        """Admit no more runs."""
        self.draining = True

    @contextmanager
    def _hold(self, slots: int) -> Generator[None, None, None]:
        self._held += slots
        try:
            yield
        finally:
            self._held -= slots

    def _full(self) -> bool:
        # The first is quick; the second counts each run.
        return self._held + len(self._runs) >= self.max_streams and self.active >= self.max_streams
