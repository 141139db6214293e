"""The events of a run that is not logged: kept in memory until its one reader has them, and within bounds.

No later request can retrieve such a run, so nothing of it is kept that its reader has. A slow reader never holds the
producer: events wait for it here. The connection of one that takes nothing is reset by `web/stream.py`; a run whose
reader takes less than the upstream sends, for too long, ends as interrupted.
"""

from collections.abc import AsyncGenerator, Callable
from itertools import islice, takewhile
from typing import Final
from weakref import WeakMethod, WeakSet

from typing_extensions import override

from chatfleet_api.domain.lost_position import position_lost
from chatfleet_api.runs.sizes import size_of
from chatfleet_api.runs.tail import Batch, Tail, merged

MAX_RUN_BYTES: Final = 32 * 1024 * 1024
"""Most that waits for the reader of one run: an answer of some 200,000 tokens."""
MAX_POD_BYTES: Final = 128 * 1024 * 1024
"""Most that waits for all readers of a pod; then runs whose reader is `STEP_BYTES` behind, or more, may not grow."""
STEP_BYTES: Final = 256 * 1024
"""The bounds are checked each time that so much more waits for a reader."""
EVENTS_PER_READ: Final = 64
"""A reader that is behind gets about so many at a time: its client's deadline is for each write."""


class UnreadBounds:
    """The bounds of one pod, and the runs whose readers are behind."""

    def __init__(self) -> None:
        self._behind: WeakSet[Unread] = WeakSet()

    def exceeded(self, by: "Unread") -> bool:
        """Return whether a run that has grown has grown too large, by itself or for the pod."""
        self._behind.add(by)
        return by.size > MAX_RUN_BYTES or sum(each.size for each in self._behind) > MAX_POD_BYTES


class Unread(Tail):
    """What the one reader of a run has not taken yet."""

    def __init__(self, bounds: UnreadBounds) -> None:
        super().__init__()
        self.size = 0
        """About how many bytes wait; less than a batch while the reader keeps up."""
        self._on_overflow: Callable[[], Callable[[], None] | None] = lambda: None
        self._bounds = bounds
        self._check_at = STEP_BYTES

    def on_overflow(self, call: Callable[[], None]) -> None:
        """Let `call`, a method of the run, be called when the bounds are exceeded; does not keep the run alive."""
        self._on_overflow = WeakMethod(call)

    @override
    def append(self, batch: Batch) -> None:
        if self._batches:  # the reader has not come back yet
            self._grow(batch)
        super().append(batch)

    @override
    async def read(self, after: int) -> AsyncGenerator[Batch, None]:
        """Yield the events beyond `after` until the terminal one; what is not beyond it is forgotten.

        Raises `ChatError(NOT_FOUND)` when the events after `after` are forgotten, or there can be none.
        """
        while True:
            self._forget(after)
            if after < self.last:
                news = self._oldest(after)
                yield news
                after = news.last
            elif self._over(after):
                return
            else:
                await self._changed()

    def _grow(self, batch: Batch) -> None:
        self.size += size_of(batch)
        if self.size >= self._check_at:
            self._check_at = self.size + STEP_BYTES
            if self._bounds.exceeded(self) and (call := self._on_overflow()):
                call()

    def _forget(self, seen: int) -> None:
        batches = self._batches
        if seen >= self.last:  # the usual case: the reader keeps up
            batches.clear()
            self.size, self._check_at = 0, STEP_BYTES
            self.first = self.last + 1
            return
        taken = [*takewhile(lambda batch: batch.last <= seen, batches)]
        if taken:
            del batches[: len(taken)]
            self.size = max(0, self.size - sum(map(size_of, taken)))
            self.first = batches[0].first

    def _oldest(self, after: int) -> Batch:
        batches = self._batches
        if not self.holds(after):
            raise position_lost()
        last = after + EVENTS_PER_READ
        batch = merged([batches[0], *takewhile(lambda each: each.first <= last, islice(batches, 1, None))])
        return batch.after(after) or batch
