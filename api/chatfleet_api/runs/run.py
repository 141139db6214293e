"""One generation, on the pod that produces it: written by its producer alone, read by anyone, ended exactly once."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

from chatfleet_api.chat.events import Batch, Event
from chatfleet_api.errors import ChatError, Code
from chatfleet_api.runs.port import RunLog
from chatfleet_api.runs.tail import Tail

TAIL_EVENTS = 64
"""Newest events kept for readers: 3 s at 20 tokens/s, in 12 KB. Who is further behind reads from the log."""


class Run:
    """One generation. Its events are numbered from 1 without gaps, and nothing follows the terminal one."""

    def __init__(self, tenant: str, run_id: str, log: RunLog, *, seconds: float) -> None:
        """Make the run; `seconds` is the longest that its answer may take."""
        self.tenant = tenant
        self.id = run_id
        """UUIDv7."""
        self._log = log
        self._tail = Tail(TAIL_EVENTS)
        self._seconds = seconds
        self._scope: asyncio.Timeout | None = None
        self._stopped: Code | None = None

    @property
    def ended(self) -> bool:
        """Whether the terminal event was published."""
        return self._tail.ended

    def publish(self, events: Sequence[Event]) -> None:
        """Number `events` (at least one), wake the readers and hand them to the log. For the producer; never waits.

        After the terminal event nothing is taken any more.
        """
        if self._tail.ended:
            return
        batch = Batch(self._tail.last + 1, tuple(events))
        self._tail.append(batch)
        self._log.append(self.tenant, self.id, batch)

    async def read(self, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield the events beyond `after`, each once and in order, until the terminal one.

        Any number of readers may read, at any pace: one that falls behind the tail goes on from the log, and meets its
        errors there.
        """
        tail = self._tail
        while True:
            if after + 1 < tail.first:
                async with aclosing(self._log.read(self.tenant, self.id, after)) as missed:
                    async for batch in missed:
                        yield batch
                        after = batch.last
                        if after + 1 >= tail.first:
                            break
            elif news := tail.since(after):
                yield news
                after = news.last
            elif tail.ended:
                return
            else:
                await tail.changed()

    def cancel(self) -> None:
        """End the run because somebody asked for it: the upstream is closed, the end is `Failed(CANCELLED)`."""
        self.stop(Code.CANCELLED)

    def stop(self, code: Code) -> None:
        """End the run with `Failed(code)`. The first asker decides; no effect once the answer is whole."""
        if self._stopped is None:
            self._stopped = code
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
                raise  # somebody else's
            raise self._reason() from error
        finally:
            self._scope = None

    def _reason(self) -> ChatError:
        if self._stopped is None:
            return ChatError(Code.INTERRUPTED, "The answer took longer than a stream may last.")
        return ChatError(self._stopped)
