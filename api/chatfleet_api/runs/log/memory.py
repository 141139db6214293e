"""The run log of a server without Redis: in this process alone, gone with it."""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Batch
from chatfleet_api.runs.log.interface import Producer, RunRecord, RunState
from chatfleet_api.runs.tail import Tail


class MemoryRunLog:
    """A `RunLog` that keeps all events of a run until `ttl_seconds` after its end."""

    def __init__(self, *, ttl_seconds: float, clock: Callable[[], float]) -> None:
        self.ttl_seconds = ttl_seconds
        """Seconds; may be replaced while the pod runs, for what changes from then on."""
        self._clock = clock
        self._runs: dict[tuple[str, str], Tail] = {}
        self._ended: deque[tuple[float, tuple[str, str]]] = deque()

    def append(self, tenant: str, run: str, batch: Batch, by: Producer | None = None) -> None:
        """Store the batch at once."""
        self._forget()
        self._runs.setdefault((tenant, run), Tail()).append(batch)
        if batch.terminal:
            self._ended.append((self._clock(), (tenant, run)))
        if by is not None:
            by.publish_committed(batch.last)

    async def flush(self, tenant: str, run: str) -> None:
        """Return at once: what was appended is stored."""

    async def read(self, tenant: str, run: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield what comes after `after`, until the terminal event."""
        tail = self._find(tenant, run)
        if tail is None:
            raise ChatError(Code.NOT_FOUND, "This stream is not, or no longer, known.")
        while True:
            if news := tail.since(after):
                yield news
                after = news.last
            elif tail.over(after):
                return
            else:
                await tail.changed()

    async def state(self, tenant: str, run: str) -> RunState:
        """Tell what is known of the run."""
        tail = self._find(tenant, run)
        if tail is None:
            return "unknown"
        return "ended" if tail.ended else "open"

    def leave(self) -> None:
        """Do nothing: there is no elsewhere, and what runs here ends here."""

    async def ping(self) -> None:
        """Return at once: this process is there."""

    def _find(self, tenant: str, run: str) -> Tail | None:
        self._forget()
        return self._runs.get((tenant, run))

    def _forget(self) -> None:
        """Drop what ended too long ago; the oldest end stands first."""
        while self._ended and self._ended[0][0] + self.ttl_seconds <= self._clock():
            del self._runs[self._ended.popleft()[1]]


class SinglePodFleet:
    """A `Fleet` of one pod, which nobody outlives."""

    @asynccontextmanager
    async def begin(self, record: RunRecord) -> AsyncGenerator[None, None]:  # noqa: ARG002  # the port's
        """Do nothing: what dies with this process is gone."""
        yield

    def has_successors(self) -> bool:
        """Know no other pod."""
        return False

    def mark_for_handoff(self, runs: Sequence[tuple[str, str]]) -> None:
        """There is nobody to give them to."""

    async def hand_over(self, runs: Sequence[tuple[str, str]]) -> None:
        """Do nothing: there is nobody."""

    async def cancel(self, tenant: str, run: str) -> bool:  # noqa: ARG002  # the port's
        """Know no other pod."""
        return False
