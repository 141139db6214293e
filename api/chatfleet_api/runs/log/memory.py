"""The run log of a server without Redis: in this process alone, gone with it, and within bounds."""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import islice, takewhile
from typing import Final

from chatfleet_api.domain.ids import RunKey
from chatfleet_api.domain.live import Live
from chatfleet_api.runs.log.interface import End, Producer, RunState, unknown_run
from chatfleet_api.runs.sizes import size_of
from chatfleet_api.runs.tail import Batch, Tail
from chatfleet_contract.spec import Streaming

MAX_BYTES: Final = 64 * 1024 * 1024
"""Most that all runs together keep. Beyond it, those that ended first are forgotten; then a run that grows keeps less
of its beginning."""
MAX_RUN_BYTES: Final = 16 * 1024 * 1024
"""Most that one run keeps: some 80,000 tokens. Its oldest events go first."""
EVENTS_PER_COUNT: Final = 64
"""A run is measured each time that it has so many more events, and at its end."""


class _Kept(Tail):
    """The events of one run, and how many bytes they take."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._counted = 0

    @property
    def due(self) -> bool:
        """Whether it is to be measured."""
        return self.ended or self.last >= self._counted + EVENTS_PER_COUNT

    def count(self) -> int:
        """Measure what has come since the last time; returns by how many bytes it has grown."""
        fresh = takewhile(lambda batch: batch.first > self._counted, reversed(self._batches))
        grown = sum(map(size_of, fresh))
        self.size, self._counted = self.size + grown, self.last
        return grown

    def shrink(self, size: int) -> int:
        """Drop the oldest events, but not the newest batch, until at least `size` bytes are free; returns how many."""
        freed = number = 0
        for batch in islice(self._batches, len(self._batches) - 1):
            if freed >= size:
                break
            freed, number = freed + size_of(batch), number + 1
        del self._batches[:number]
        self.first = self._batches[0].first
        self.size -= freed
        return freed


class MemoryRunLog:
    """A `RunLog` that keeps all events of a run until `streaming.logTTLSeconds` after its end, as far as they fit."""

    def __init__(self, streaming: Live[Streaming], *, clock: Callable[[], float]) -> None:
        self._streaming = streaming
        self._clock = clock
        self._runs: dict[RunKey, _Kept] = {}
        self._ended: deque[tuple[float, RunKey]] = deque()
        self._bytes = 0

    def append(self, tenant: str, run: str, batch: Batch, producer: Producer | None = None) -> None:
        self._forget()
        kept = self._runs.get((tenant, run))
        if kept is None:
            kept = self._runs[tenant, run] = _Kept()
        kept.append(batch)
        if batch.terminal:
            self._ended.append((self._clock(), (tenant, run)))
        if kept.due:
            self._bound(kept)
        if producer is not None:
            producer.publish_committed(batch.last)

    def is_writing(self, tenant: str, run: str) -> bool:  # noqa: ARG002  # the interface's
        return False

    async def flush(self, tenant: str, run: str) -> None:
        """Return at once: what was appended is stored."""

    async def read(self, tenant: str, run: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        tail = self._find(tenant, run)
        if tail is None:
            raise unknown_run()
        async with aclosing(tail.read(after)) as batches:
            async for batch in batches:
                yield batch
                after = batch.last
        if not tail.holds(after):
            raise unknown_run()

    async def state(self, tenant: str, run: str) -> RunState:
        tail = self._find(tenant, run)
        if tail is None:
            return "unknown"
        return "ended" if tail.ended else "open"

    async def end(self, tenant: str, run: str) -> End | None:
        tail = self._find(tenant, run)
        return None if tail is None else End(tail.last, tail.ended)

    def close_readers(self) -> None:
        """Do nothing: no other pod has what runs here, and it ends here."""

    def _find(self, tenant: str, run: str) -> Tail | None:
        self._forget()
        return self._runs.get((tenant, run))

    def _forget(self) -> None:
        """Drop what ended too long ago; the oldest end stands first."""
        oldest = self._clock() - self._streaming().log_ttl_seconds
        while self._ended and self._ended[0][0] <= oldest:
            self._forget_first()

    def _forget_first(self) -> None:
        self._bytes -= self._runs.pop(self._ended.popleft()[1]).size

    def _bound(self, kept: _Kept) -> None:
        """Keep to the bounds after a run has grown."""
        self._bytes += kept.count()
        if kept.size > MAX_RUN_BYTES:
            self._bytes -= kept.shrink(kept.size - MAX_RUN_BYTES)
        while self._bytes > MAX_BYTES and self._ended:
            self._forget_first()
        if self._bytes > MAX_BYTES:
            self._bytes -= kept.shrink(self._bytes - MAX_BYTES)
