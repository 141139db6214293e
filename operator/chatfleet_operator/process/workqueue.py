"""One queue for all ChatDeployments: keyed, coalescing, serial for each key.

Whatever happens only wakes a key. A burst of wakes becomes one pass; a key is never in two passes at once; a wake
during a pass leads to another pass. Between passes the verdict of the last one sets the pause: a resync at rest,
growing pauses while something is under way or failing. Time is the event loop's clock; chance comes as an argument.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from chatfleet_operator.model.errors import ClusterError, Retry
from chatfleet_operator.model.values import Next, Verdict

K = TypeVar("K")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the queue goes. Seconds."""

    workers: int = 16
    """Passes at a time, over all keys."""
    debounce: float = 0.1
    """A burst of events becomes one pass when it comes within this time."""
    first: float = 1.0
    """First pause after a pass that left something open; it doubles each time."""
    longest: float = 60.0
    """Longest pause while something fails."""
    resync: float = 10.0
    """Pause at rest, and longest pause while something is under way."""
    rest_rate: float = 25.0
    """Most passes a second that resyncs may cause: with more keys, the pause at rest grows. A pass takes 15 ms."""
    jitter: float = 0.1
    """Share by which a pause is made longer or shorter at random, so that keys spread over time."""


class Watch(Protocol):
    """Where the queue tells of its passes."""

    def passed(self, seconds: float, *, failed: bool) -> None:
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
class Loop(Generic[K]):
    """The queue. `work` runs one pass for a key and returns when to look again."""

    work: Callable[[K], Awaitable[Next]]
    watch: Watch
    chance: Callable[[], float]
    """Returns a random number in [0, 1)."""
    pace: Pace = field(default_factory=Pace)
    _entries: dict[K, _Entry] = field(default_factory=dict)
    _ready: deque[K] = field(default_factory=deque)
    _arrival: asyncio.Event = field(default_factory=asyncio.Event)
    _working: bool = False

    def wake(self, key: K) -> None:
        """Ask for a pass for `key` soon. Cheap, and harmless to repeat."""
        entry = self._entries.setdefault(key, _Entry())
        entry.tries = 0
        if entry.running:
            entry.dirty = True
        else:
            self._schedule(key, entry, self.pace.debounce)

    async def run(self) -> None:
        """Work until cancelled. What was woken before is not lost."""
        self._working = True
        async with asyncio.TaskGroup() as workers:
            for number in range(self.pace.workers):
                workers.create_task(self._worker(), name=f"reconcile-{number}")

    def depth(self) -> int:
        """Return how many keys wait for a worker; 0 before `run`, as a standby waits for nobody."""
        return len(self._ready) if self._working else 0

    def age(self) -> float:
        """Return the seconds that the first key in line has waited; 0: none waits."""
        first = self._entries[self._ready[0]].queued_at if self.depth() else None
        return 0.0 if first is None else asyncio.get_running_loop().time() - first

    def knows(self, key: K) -> bool:
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
        entry.timer = clock.call_later(delay, self._enqueue, key, entry)

    def _enqueue(self, key: K, entry: _Entry) -> None:
        entry.timer, entry.queued_at = None, asyncio.get_running_loop().time()
        self._ready.append(key)
        self._arrival.set()

    async def _worker(self) -> None:
        while True:
            while not self._ready:
                self._arrival.clear()
                await self._arrival.wait()
            await self._pass(self._ready.popleft())

    async def _pass(self, key: K) -> None:
        entry = self._entries[key]
        entry.queued_at, entry.running, entry.dirty = None, True, False
        started = asyncio.get_running_loop().time()
        try:
            following = await self._guarded(key)
        finally:
            entry.running = False
        self.watch.passed(asyncio.get_running_loop().time() - started, failed=following.verdict is Verdict.FAILED)
        self._follow(key, entry, following)

    async def _guarded(self, key: K) -> Next:
        """Run one pass; whatever it raises ends here, as a failure that is tried again."""
        try:
            return await self.work(key)
        except ClusterError as error:
            logger.warning("pass failed: %s", error, extra={"object": str(key)})
            return Next(Verdict.FAILED, at_least=error.after if isinstance(error, Retry) else 0.0)
        except Exception:  # the process edge of a pass: one object must not stop the others
            logger.exception("pass failed unexpectedly", extra={"object": str(key)})
            return Next(Verdict.FAILED)

    def _follow(self, key: K, entry: _Entry, following: Next) -> None:
        if entry.dirty:
            self._schedule(key, entry, self.pace.debounce)
        elif following.verdict is Verdict.GONE:
            del self._entries[key]
        else:
            self._schedule(key, entry, max(self._pause(entry, following.verdict), following.at_least))

    def _pause(self, entry: _Entry, verdict: Verdict) -> float:
        spread = 1 + self.pace.jitter * (2 * self.chance() - 1)
        if verdict is Verdict.AT_ONCE:
            return 0.0
        if verdict is Verdict.SETTLED:
            entry.tries = 0
            return max(self.pace.resync, len(self._entries) / self.pace.rest_rate) * spread
        longest = self.pace.longest if verdict is Verdict.FAILED else self.pace.resync
        pause = min(self.pace.first * 2.0 ** min(entry.tries, 16), longest)
        entry.tries += 1
        return pause * spread
