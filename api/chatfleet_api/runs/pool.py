"""The runs of one pod: how they are started, where they are found, and how they end with the pod.

The order of a pod's end is in `pod/lifecycle.py`: drain, hand over, interrupt the rest.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import Protocol

from chatfleet_api.domain import log_context
from chatfleet_api.domain.errors import ChatError, Code, StorageUnavailableError
from chatfleet_api.domain.events import Failed
from chatfleet_api.domain.ids import RunKey
from chatfleet_api.domain.live import Live
from chatfleet_api.runs.admission import Admission
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.interface import Fleet
from chatfleet_api.runs.handoff import hand_over
from chatfleet_api.runs.log.interface import End, RunLog
from chatfleet_api.runs.run import Run
from chatfleet_api.runs.tail import Batch
from chatfleet_api.runs.unread import Unread, UnreadBounds
from chatfleet_contract.spec import Streaming

logger = logging.getLogger(__name__)


class StartRun(Protocol):
    """Starts a run in the slot that was admitted."""

    def __call__(
        self,
        tenant: str,
        run_id: str,
        produce: Callable[[Run], Awaitable[None]],
        fence: Fence | None = None,
    ) -> Run:
        """Start `produce` as a task of the pool and return its run.

        No `fence`: the run is not the fleet's. It is not logged and cannot be retrieved; the caller is its one reader.
        """
        ...


class RunPool:
    """Owns the producers of this pod's runs."""

    def __init__(self, log: RunLog, fleet: Fleet, streaming: Live[Streaming]) -> None:
        self._log = log
        self._fleet = fleet
        self._streaming = streaming
        self._runs: dict[RunKey, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unread = UnreadBounds()
        self.admission = Admission(self._runs, streaming)
        self.taken_over = 0
        """Runs taken over from other pods, ever."""
        self.handed_over = 0
        """Runs handed over to other pods at shutdown."""

    @property
    def max_stream_seconds(self) -> float:
        """Longest life of a run that begins now."""
        return self._streaming().max_stream_seconds

    @contextmanager
    def admit(self) -> Generator[StartRun, None, None]:
        """Hold a slot, so that nothing is done for a request that cannot be served; yields what starts the run in it.

        Raises:
            ChatError: AT_CAPACITY or DRAINING, with the time to try again.
        """
        with self.admission.admit():
            yield self._start

    @contextmanager
    def reserve(self, most: int) -> Generator[tuple[int, StartRun], None, None]:
        """Hold the free slots, up to `most`, for runs of other pods; yields their number, and what starts a run.

        A run that is only to be ended may be started without a slot.
        """
        with self.admission.reserve(most) as free:
            yield free, self._start

    def find(self, tenant: str, run_id: str) -> Run | None:
        """Return the run when this pod produces it, and it can be retrieved."""
        run = self._runs.get((tenant, run_id))
        return run if run is not None and run.logged else None

    def producing(self) -> Sequence[Run]:
        """Return the runs that this pod produces, of all tenants."""
        return [run for run in self._runs.values() if not run.ended]

    def is_producing(self, tenant: str, run_id: str) -> bool:
        """Return whether this pod produces the run, or has yet to write something of it to the log."""
        return (tenant, run_id) in self._runs or self._log.is_writing(tenant, run_id)

    def read(self, tenant: str, run_id: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Read a run wherever it is produced, as `Run.read` and `RunLog.read` promise."""
        run = self.find(tenant, run_id)
        return self._log.read(tenant, run_id, after) if run is None else run.read(after)

    async def end(self, tenant: str, run_id: str) -> End | None:
        """Return how far a run reaches, as its readers see it, wherever it is produced; see `RunLog.end`."""
        run = self.find(tenant, run_id)
        return await self._log.end(tenant, run_id) if run is None or run.fenced else run.end()

    async def cancel(self, tenant: str, run_id: str) -> bool:
        """Stop a run, on whichever pod, within half a second; return whether it was in progress.

        Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        if (run := self.find(tenant, run_id)) and not run.ended:
            run.cancel()
            return True
        return await self._fleet.cancel(tenant, run_id)

    async def idle(self, seconds: float) -> None:
        """Return when no run is under way, or when `seconds` have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)

    async def hand_over(self) -> None:
        """Hand the runs of the fleet over to successors, if there are any; those that could not be go on here."""
        runs = [run for run in self._runs.values() if run.logged and not run.ended]
        if not runs or not self._fleet.has_successors():
            return
        with suppress(StorageUnavailableError):
            await hand_over(runs, log=self._log, fleet=self._fleet)
            self.handed_over += len(runs)
            logger.info("Handed %d streams over to other pods", len(runs))

    async def interrupt(self, settle_seconds: float) -> int:
        """End the runs that are left, which get `settle_seconds` to store what they have; return their number."""
        left = [run for run in self._runs.values() if not run.ended]
        for run in left:
            run.stop(Code.INTERRUPTED)
        await self.idle(settle_seconds)
        for task in self._tasks:
            task.cancel()
        await self.idle(settle_seconds)
        return len(left)

    def _start(
        self,
        tenant: str,
        run_id: str,
        produce: Callable[[Run], Awaitable[None]],
        fence: Fence | None = None,
    ) -> Run:
        log = Unread(self._unread) if fence is None else self._log
        run = Run(tenant, run_id, log, seconds=self.max_stream_seconds, fence=fence)
        self._runs[tenant, run_id] = run
        self.taken_over += run.fence.epoch > 0
        log_context.note(run_id=run_id)
        own = copy_context()
        own.run(log_context.branch, run_id=run_id, tenant=tenant)
        task = own.run(asyncio.ensure_future, produce(run))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, run))
        return run

    def _ended(self, run: Run, task: asyncio.Task[None]) -> None:
        """See to it that the run has ended, whatever became of its producer."""
        self._tasks.discard(task)
        del self._runs[run.tenant, run.id]
        code = Code.INTERRUPTED if task.cancelled() else Code.INTERNAL
        if error := None if task.cancelled() else task.exception():
            logger.error("The producer of run %s failed", run.id, exc_info=error)
        run.publish((Failed.of(ChatError(code)),))
