"""One queue for all ChatDeployments: keyed, coalescing, serial for each key.

Whatever happens only wakes a key. A burst of wakes becomes one pass; a key is never in two passes at once; a wake
during a pass leads to another pass. Between passes the requeue of the last one sets the pause: a resync at rest,
growing pauses while something is under way or failing. Time is the event loop's clock; rand comes as an argument.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from chatfleet_operator.model.errors import ClusterError, Retry
from chatfleet_operator.model.values import Requeue, Result

K = TypeVar("K")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """How fast the queue goes. Seconds."""

    workers: int = 16
    """Passes at a time, over all keys."""
    debounce: float = 0.1
    """A burst of events becomes one pass when it comes within this time."""
    backoff_base: float = 1.0
    """First pause after a pass that left something open; it doubles each time."""
    backoff_max: float = 60.0
    """Longest pause while something fails."""
    resync: float = 10.0
    """Pause at rest, and longest pause while something is under way."""
    resync_rate: float = 25.0
    """Most passes a second that resyncs may cause: with more keys, the pause at rest grows. A pass takes 15 ms."""
    jitter: float = 0.1
    """Share by which a pause is made longer or shorter at random, so that keys spread over time."""


class Metrics(Protocol):
    """Where the queue tells of its passes."""

    def reconciled(self, seconds: float, *, failed: bool) -> None:
        """Count a pass that took `seconds`."""
        ...


@dataclass(slots=True)
class _Entry:
    """What the queue knows of one key."""

    timer: asyncio.TimerHandle | None = None
    queued_at: float | None = None
    running: bool = False
    dirty: bool = False
    """Woken while running."""
    tries: int = 0
    """Passes in a row that left something open, since the last wake."""


@dataclass(slots=True)
class WorkQueue(Generic[K]):
    """The queue. `reconcile` runs for one key and returns when to run again."""

    reconcile: Callable[[K], Awaitable[Result]]
    metrics: Metrics
    rand: Callable[[], float]
    """Returns a random number in [0, 1)."""
    config: QueueConfig = field(default_factory=QueueConfig)
    _entries: dict[K, _Entry] = field(default_factory=dict)
    _ready: deque[K] = field(default_factory=deque)
    _arrival: asyncio.Event = field(default_factory=asyncio.Event)
    _working: bool = False

    def enqueue(self, key: K) -> None:
        """Ask for a pass for `key` soon. Cheap, and harmless to repeat."""
        entry = self._entries.setdefault(key, _Entry())
        entry.tries = 0
        if entry.running:
            entry.dirty = True
        else:
            self._schedule(key, entry, self.config.debounce)

    async def run(self) -> None:
        """Work until cancelled. What was woken before is not lost."""
        self._working = True
        async with asyncio.TaskGroup() as workers:
            for number in range(self.config.workers):
                workers.create_task(self._worker(), name=f"reconcile-{number}")

    def depth(self) -> int:
        """Return how many keys wait for a worker; 0 before `run`, as a standby waits for nobody."""
        return len(self._ready) if self._working else 0

    def age(self) -> float:
        """Return the seconds that the first key in line has waited; 0: none waits."""
        first = self._entries[self._ready[0]].queued_at if self.depth() else None
        return 0.0 if first is None else asyncio.get_running_loop().time() - first

    def __contains__(self, key: K) -> bool:
        """Say whether the queue looks after `key`."""
        return key in self._entries

    def _schedule(self, key: K, entry: _Entry, delay: float) -> None:
        """Queue `key` in `delay` seconds, or sooner if that was the plan already."""
        clock = asyncio.get_running_loop()
        if entry.queued_at is not None:
            return
        if entry.timer:
            if entry.timer.when() <= clock.time() + delay:
                return
            entry.timer.cancel()
        entry.timer = clock.call_later(delay, self._push, key, entry)

    def _push(self, key: K, entry: _Entry) -> None:
        entry.timer, entry.queued_at = None, asyncio.get_running_loop().time()
        self._ready.append(key)
        self._arrival.set()

    async def _worker(self) -> None:
        while True:
            while not self._ready:
                self._arrival.clear()
                await self._arrival.wait()
            await self._process(self._ready.popleft())

    async def _process(self, key: K) -> None:
        entry = self._entries[key]
        entry.queued_at, entry.running, entry.dirty = None, True, False
        started = asyncio.get_running_loop().time()
        try:
            result = await self._reconcile(key)
        finally:
            entry.running = False
        self.metrics.reconciled(asyncio.get_running_loop().time() - started, failed=result.requeue is Requeue.FAILED)
        self._requeue(key, entry, result)

    async def _reconcile(self, key: K) -> Result:
        """Run one pass; whatever it raises ends here, as a failure that is tried again."""
        try:
            return await self.reconcile(key)
        except ClusterError as error:
            logger.warning("pass failed: %s", error, extra={"object": str(key)})
            return Result(Requeue.FAILED, min_delay=error.after if isinstance(error, Retry) else 0.0)
        except Exception:  # the process edge of a pass: one object must not stop the others
            logger.exception("pass failed unexpectedly", extra={"object": str(key)})
            return Result(Requeue.FAILED)

    def _requeue(self, key: K, entry: _Entry, result: Result) -> None:
        if entry.dirty:
            self._schedule(key, entry, self.config.debounce)
        elif result.requeue is Requeue.GONE:
            del self._entries[key]
        else:
            self._schedule(key, entry, max(self._delay(entry, result.requeue), result.min_delay))

    def _delay(self, entry: _Entry, requeue: Requeue) -> float:
        spread = 1 + self.config.jitter * (2 * self.rand() - 1)
        if requeue is Requeue.IMMEDIATELY:
            return 0.0
        if requeue is Requeue.SETTLED:
            entry.tries = 0
            return max(self.config.resync, len(self._entries) / self.config.resync_rate) * spread
        longest = self.config.backoff_max if requeue is Requeue.FAILED else self.config.resync
        pause = min(self.config.backoff_base * 2.0 ** min(entry.tries, 16), longest)
        entry.tries += 1
        return pause * spread
