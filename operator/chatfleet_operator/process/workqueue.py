"""The work queue of all ChatDeployments: keyed, coalescing, serial for each key.

Every event only enqueues a key. A burst of events becomes one reconciliation; a key is never reconciled twice at a
time; an event during a reconciliation leads to another one. The result of a reconciliation sets the delay until the
next: a resync at rest, exponential back-off while something is under way, is refused or fails. Time is the event loop's
clock; randomness comes as an argument.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, assert_never

from chatfleet_operator.model.errors import ClusterError, Retry
from chatfleet_operator.model.requeue import Requeue, Result

K = TypeVar("K")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """Times and limits of the work queue. Seconds."""

    workers: int = 16
    """Concurrent reconciliations, over all keys."""
    debounce: float = 0.1
    """A burst of events within this time becomes one reconciliation."""
    backoff_base: float = 1.0
    """First delay after a reconciliation that did not settle; it doubles each time."""
    backoff_max: float = 60.0
    """Longest delay while the API server does not answer."""
    resync: float = 10.0
    """Delay at rest, and longest delay while something is under way."""
    resync_rate: float = 25.0
    """Most reconciliations a second for resyncs: with more keys, the delay at rest grows. One takes 15 ms."""
    jitter: float = 0.1
    """Share by which a delay is made longer or shorter at random, so that keys spread over time."""


class Metrics(Protocol):
    def reconciled(self, seconds: float, *, failed: bool) -> None:
        """Count a reconciliation."""
        ...


@dataclass(slots=True)
class _Entry:
    timer: asyncio.TimerHandle | None = None
    queued_at: float | None = None
    running: bool = False
    dirty: bool = False
    """Enqueued while running."""
    tries: int = 0
    """Consecutive reconciliations that did not settle, since the last event."""


@dataclass(slots=True)
class WorkQueue(Generic[K]):
    """`reconcile` runs for one key and returns when to run again."""

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
        """Reconcile `key` soon. Cheap and idempotent."""
        entry = self._entries.setdefault(key, _Entry())
        entry.tries = 0
        if entry.running:
            entry.dirty = True
        else:
            self._schedule(key, entry, self.config.debounce)

    async def run(self) -> None:
        """Work until cancelled. Keys enqueued before are not lost."""
        self._working = True
        async with asyncio.TaskGroup() as workers:
            for number in range(self.config.workers):
                workers.create_task(self._worker(), name=f"reconcile-{number}")

    def depth(self) -> int:
        """Return how many keys wait for a worker; 0 before `run`: a standby has no workers."""
        return len(self._ready) if self._working else 0

    def age(self) -> float:
        """Return the seconds that the first key has waited; 0: none waits."""
        first = self._entries[self._ready[0]].queued_at if self.depth() else None
        return 0.0 if first is None else asyncio.get_running_loop().time() - first

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def _schedule(self, key: K, entry: _Entry, delay: float) -> None:
        """Queue `key` in `delay` seconds, or sooner if it was scheduled sooner."""
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
        failed = result.requeue in {Requeue.FAILED, Requeue.REFUSED}
        self.metrics.reconciled(asyncio.get_running_loop().time() - started, failed=failed)
        self._requeue(key, entry, result)

    async def _reconcile(self, key: K) -> Result:
        """Reconcile once; whatever it raises becomes a failure, which is retried."""
        try:
            return await self.reconcile(key)
        except Retry as error:
            logger.warning("Reconciliation failed: %s", error, extra={"object": str(key)})
            return Result(Requeue.FAILED, min_delay=error.after)
        except ClusterError as error:
            logger.warning("Reconciliation was refused: %s", error, extra={"object": str(key)})
            return Result(Requeue.REFUSED)
        except Exception:  # the process edge: one object must not stop the others
            logger.exception("Reconciliation failed unexpectedly", extra={"object": str(key)})
            return Result(Requeue.FAILED)

    def _requeue(self, key: K, entry: _Entry, result: Result) -> None:
        if entry.dirty:
            self._schedule(key, entry, self.config.debounce)
            return
        match result.requeue:
            case Requeue.GONE:
                del self._entries[key]
                return
            case Requeue.IMMEDIATELY:
                delay = 0.0
            case Requeue.SETTLED:
                entry.tries = 0
                delay = self._resync() * self._jitter()
            case Requeue.UNSETTLED:
                delay = self._backoff(entry, self.config.resync)
            case Requeue.REFUSED:
                delay = self._backoff(entry, self._resync())
            case Requeue.FAILED:
                delay = self._backoff(entry, self.config.backoff_max)
            case _:
                assert_never(result.requeue)
        self._schedule(key, entry, max(delay, result.min_delay))

    def _resync(self) -> float:
        """Return the delay at rest."""
        return max(self.config.resync, len(self._entries) / self.config.resync_rate)

    def _backoff(self, entry: _Entry, longest: float) -> float:
        delay = min(self.config.backoff_base * 2.0 ** min(entry.tries, 16), longest)
        entry.tries += 1
        return delay * self._jitter()

    def _jitter(self) -> float:
        return 1 + self.config.jitter * (2 * self.rand() - 1)
