"""One generation, on the pod that produces it: written by its producer alone, ended exactly once."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Event
from chatfleet_api.domain.quota import Quota
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.log.interface import End, RunLog
from chatfleet_api.runs.tail import Batch, Tail
from chatfleet_api.runs.unread import Unread
from chatfleet_api.usage.settlement import Settlement
from chatfleet_api.webhooks.event import Notice

TAIL_EVENTS = 64
"""Newest events kept for readers: 3 s at 20 tokens/s, in 12 KB. A reader further behind reads from the log."""


class Run:
    """One generation: events numbered from 1 without gaps. Readers see none that its log lacks, while it is written."""

    def __init__(
        self, tenant: str, run_id: str, log: RunLog | Unread, *, seconds: float, fence: Fence | None = None
    ) -> None:
        """Make the run; `seconds` is the longest that its answer may take. No `fence`: it begins here.

        `log` keeps its events; of a run that cannot be retrieved, what its one reader has yet to take.
        """
        self.tenant = tenant
        self.id = run_id
        """UUIDv7."""
        self.fence = fence or Fence()
        self.settlement: Settlement | None = None
        self.notice: Notice | None = None
        """What the step that ends a logged run adds to the ledger, and queues for webhooks; set before the end."""
        self._last = self.fence.last_seq
        self._uncommitted: list[Batch] = []  # few, and an empty deque takes 0.6 KB
        self._log = None if isinstance(log, Unread) else log
        self._tail = log if isinstance(log, Unread) else Tail(TAIL_EVENTS, after=self._last)
        if isinstance(log, Unread):
            log.on_overflow(self._left_behind)
        self._seconds = seconds
        self._scope: asyncio.Timeout | None = None
        self._stopped: ChatError | None = None
        self._fenced: int | None = None
        self._ended = False
        self.quota: Quota | None = None
        """What was left to its caller when it began; None: nothing limits the caller."""

    @property
    def ended(self) -> bool:
        """Whether this pod's part is over: the terminal event was published, or another pod has the run."""
        return self._ended

    @property
    def logged(self) -> bool:
        """Whether it belongs to the fleet, and can be retrieved."""
        return self._log is not None

    @property
    def fenced(self) -> bool:
        """Whether another pod has taken the run over."""
        return self._fenced is not None

    def end(self) -> End:
        """Return how far it reaches for readers."""
        return End(self._tail.last, self._tail.ended)

    def publish(self, events: Sequence[Event]) -> None:
        """Number `events` (at least one), wake the readers and pass them to the log. For the producer; never waits.

        Nothing is taken after the terminal event, nor after another pod has taken the run over.
        """
        if self._ended:
            return
        batch = Batch(self._last + 1, tuple(events))
        self._last, self._ended = batch.last, batch.terminal
        if self._log is None:
            self._tail.append(batch)
        else:
            self._uncommitted.append(batch)
            self._log.append(self.tenant, self.id, batch, self)

    async def flush(self) -> None:
        """Return when its log has all that was published; raise `ChatError(STORAGE_UNAVAILABLE)` if not."""
        if self._log is not None:
            await self._log.flush(self.tenant, self.id)

    def publish_committed(self, seq: int) -> None:
        """Show readers what was published up to `seq`."""
        while self._uncommitted and self._uncommitted[0].last <= seq:
            self._tail.append(self._uncommitted.pop(0))

    def fence_off(self, seq: int) -> None:
        """Stop producing: another pod goes on after `seq`. Readers follow it there."""
        self._fenced, self._ended = seq, True
        self._uncommitted.clear()
        self._tail.close()
        self.stop(Code.INTERRUPTED)

    def hand_over(self) -> None:
        """Stop producing, without an end: another pod is to go on after what was published. Readers follow it there."""
        if not self._ended:
            self.fence_off(self._last)

    def read(self, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield the events beyond `after`, each once and in order, until the terminal one.

        One that has seen more than the log has when another pod takes the run over gets `ChatError(INTERRUPTED)`.
        """
        return self._tail.read(after) if self._log is None else self._read(self._log, after)

    async def _read(self, log: RunLog, after: int) -> AsyncGenerator[Batch, None]:
        tail = self._tail
        while True:
            if self._fenced is not None and after > self._fenced:
                raise ChatError(Code.INTERRUPTED)
            if tail.holds(after):
                async with aclosing(tail.read(after)) as newest:
                    async for batch in newest:
                        yield batch
                        after = batch.last
                if tail.holds(after):
                    return
            else:
                async with aclosing(log.read(self.tenant, self.id, after)) as missed:
                    async for batch in missed:
                        yield batch
                        after = batch.last
                        if tail.holds(after):
                            break
                    else:
                        return

    def cancel(self) -> None:
        """End the run on request: the upstream is closed, the end is `Failed(CANCELLED)`."""
        self.stop(Code.CANCELLED)

    def stop(self, code: Code, message: str | None = None) -> None:
        """End the run with `Failed(code)`. The first code counts; no effect once the answer is whole."""
        if self._stopped is None:
            self._stopped = ChatError(code, message)
            if self._scope is not None and not self._scope.expired():
                self._scope.reschedule(0)

    @asynccontextmanager
    async def stoppable(self) -> AsyncGenerator[None, None]:
        """Hold what `stop` and the deadline may end: the block is cancelled and `ChatError` raised."""
        if self._stopped is not None:
            raise self._reason()
        try:
            async with asyncio.timeout(self._seconds) as scope:
                self._scope = scope
                yield
        except TimeoutError as error:
            if not scope.expired():
                raise  # a timeout of the block's own
            raise self._reason() from error
        finally:
            self._scope = None

    def _reason(self) -> ChatError:
        return self._stopped or ChatError(Code.INTERRUPTED, "The answer exceeded the maximum duration of a stream.")

    def _left_behind(self) -> None:
        self.stop(Code.INTERRUPTED, "The answer was interrupted because its client reads too slowly.")
