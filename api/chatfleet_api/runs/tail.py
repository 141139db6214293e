"""Batches of a run's events, each with its number, and the newest of them in memory with the wait for more."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from itertools import chain, takewhile

import msgspec

from chatfleet_api.domain.events import TERMINALS, Event
from chatfleet_api.domain.lost_position import position_lost


class Batch(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Consecutive events of one run; the event at index i has sequence number `first + i`."""

    first: int
    events: tuple[Event, ...]

    @property
    def last(self) -> int:
        """Sequence number of the last event."""
        return self.first + len(self.events) - 1

    @property
    def terminal(self) -> bool:
        """Whether the run ends with this batch."""
        return type(self.events[-1]) in TERMINALS

    def after(self, seq: int) -> "Batch | None":
        """Return what follows `seq`, or None when nothing does."""
        if seq < self.first:
            return self
        return None if seq >= self.last else Batch(seq + 1, self.events[seq + 1 - self.first :])


def merged(batches: Iterable[Batch]) -> Batch:
    """Return consecutive batches (at least one) as one."""
    parts = list(batches)
    if len(parts) == 1:  # the usual case
        return parts[0]
    return Batch(parts[0].first, tuple(chain.from_iterable(part.events for part in parts)))


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
        self.closed = False
        """Whether readers have to go on elsewhere."""
        self._limit = limit
        self._batches: list[Batch] = []  # where there are many, none is taken away; an empty deque takes 0.6 KB
        self._waiting: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def append(self, batch: Batch) -> None:
        """Take the next batch and wake the readers."""
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
            self._wake()

    def close(self) -> None:
        """End every `read`, at once, where it is."""
        self.closed = True
        self._wake()

    def holds(self, seq: int) -> bool:
        """Return whether a reader that has seen `seq` can go on here."""
        return not self.closed and seq + 1 >= self.first

    async def read(self, after: int) -> AsyncGenerator[Batch, None]:
        """Yield the events beyond `after`, until the terminal one, or until the tail no longer holds what follows.

        Raises `ChatError(NOT_FOUND)` when `after` lies beyond the terminal event.
        """
        while self.holds(after):
            if news := self._since(after):
                yield news
                after = news.last
            elif self._over(after):
                return
            else:
                await self._changed()

    def _over(self, after: int) -> bool:
        if self.ended and after > self.last:
            raise position_lost()
        return self.ended

    def _since(self, after: int) -> Batch | None:
        """Return all that is kept beyond `after`, or None when nothing is."""
        if after >= self.last:
            return None
        newest = self._batches[-1]
        if after + 1 == newest.first:  # the usual case, kept quick: the reader keeps up
            return newest
        newer = [*takewhile(lambda batch: batch.last > after, reversed(self._batches))]
        return merged(reversed(newer)).after(after)

    def _changed(self) -> asyncio.Future[None]:
        """Return what is done with the next change: one for each reader, who may cancel it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # which asks the kernel, and so is too dear for every token
        one = self._loop.create_future()
        self._waiting.append(one)
        return one

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
