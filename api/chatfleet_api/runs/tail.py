"""The newest events of one run in memory, and the waiting for more. Shared by runs and by the log in memory."""

import asyncio
from collections.abc import Iterable
from itertools import chain, takewhile

from chatfleet_api.domain.errors import position_lost
from chatfleet_api.domain.events import Batch


class Tail:
    """The end of one run's events: at least the `limit` newest of them, or all when there is no limit."""

    def __init__(self, limit: int | None = None, *, after: int = 0) -> None:
        """Make an empty tail of a run whose events up to `after` are elsewhere."""
        self.first = after + 1
        """Sequence number of the oldest event that is kept."""
        self.last = after
        """Sequence number of the newest event."""
        self.ended = False
        """Whether the terminal event is there."""
        self._limit = limit
        self._batches: list[Batch] = []  # where there are many, none is taken away; an empty deque takes 0.6 KB
        self._waiting: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def append(self, batch: Batch) -> None:
        """Take the next batch and wake who waits."""
        batches = self._batches
        batches.append(batch)
        self.last = last = batch.last
        self.ended = batch.terminal
        if self._limit is not None:
            newest = last + 1 - self._limit  # and what is older than these may go
            while batches[0] is not batch and batches[1].first <= newest:
                del batches[0]
                self.first = batches[0].first
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """Wake who waits for `changed`."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def since(self, after: int) -> Batch | None:
        """Return all that is kept beyond `after`, or None when nothing is."""
        if after >= self.last:
            return None
        newest = self._batches[-1]
        if after + 1 == newest.first:  # the usual case, kept quick: the reader keeps up
            return newest
        newer = [*takewhile(lambda batch: batch.last > after, reversed(self._batches))]
        return joined(reversed(newer)).after(after)

    def over(self, after: int) -> bool:
        """Tell whether nothing can come after `after`; raise `ChatError(NOT_FOUND)` if that lies beyond the end."""
        if self.ended and after > self.last:
            raise position_lost()
        return self.ended

    def changed(self) -> asyncio.Future[None]:
        """Return what is done with the next `append` or `wake`: one for each reader, who may cancel it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # which asks the kernel, and so is too dear for every token
        one = self._loop.create_future()
        self._waiting.append(one)
        return one


def joined(batches: Iterable[Batch]) -> Batch:
    """Return consecutive batches (at least one) as one."""
    parts = list(batches)
    if len(parts) == 1:  # the usual case
        return parts[0]
    return Batch(parts[0].first, tuple(chain.from_iterable(part.events for part in parts)))
