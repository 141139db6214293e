"""The run log of a server without Redis: in this process alone, gone with it."""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from chatfleet_api.domain.live import Live
from chatfleet_api.runs.log.interface import Producer, RunState, unknown_run
from chatfleet_api.runs.tail import Batch, Tail
from chatfleet_contract.spec import Streaming


class MemoryRunLog:
    """A `RunLog` that keeps all events of a run until `streaming.logTTLSeconds` after its end."""

    def __init__(self, streaming: Live[Streaming], *, clock: Callable[[], float]) -> None:
        self._streaming = streaming
        self._clock = clock
        self._runs: dict[tuple[str, str], Tail] = {}
        self._ended: deque[tuple[float, tuple[str, str]]] = deque()

    def append(self, tenant: str, run: str, batch: Batch, producer: Producer | None = None) -> None:
        self._forget()
        self._runs.setdefault((tenant, run), Tail()).append(batch)
        if batch.terminal:
            self._ended.append((self._clock(), (tenant, run)))
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

    async def state(self, tenant: str, run: str) -> RunState:
        tail = self._find(tenant, run)
        if tail is None:
            return "unknown"
        return "ended" if tail.ended else "open"

    def close_readers(self) -> None:
        """Do nothing: no other pod has what runs here, and it ends here."""

    def _find(self, tenant: str, run: str) -> Tail | None:
        self._forget()
        return self._runs.get((tenant, run))

    def _forget(self) -> None:
        """Drop what ended too long ago; the oldest end stands first."""
        oldest = self._clock() - self._streaming().log_ttl_seconds
        while self._ended and self._ended[0][0] <= oldest:
            del self._runs[self._ended.popleft()[1]]
