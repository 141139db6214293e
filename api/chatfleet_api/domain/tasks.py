"""What a pod does in the background, and what came of it: for those who administrate it.

Tasks that end, such as an index or a title, are remembered for a while. Tasks that last, such as the sender of
webhooks, are restarted when they fail. Errors are named by their kind, since their texts may hold secrets.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from threading import Lock
from typing import Final

import msgspec

MAX_RUNNING: Final = 500
"""Tasks that are shown while they run; a pod that has more of them shows the first ones."""
MAX_ENDED: Final = 100
"""Tasks that are remembered after their end."""


class TaskKind(StrEnum):
    """What is done."""

    TITLE = "title"
    SUMMARY = "summary"
    INDEXING = "indexing"
    WEBHOOKS = "webhooks"
    KNOWLEDGE = "knowledge"
    CREDENTIALS = "credentials"
    CONFIGURATION = "configuration"
    UPSTREAMS = "upstreams"
    REDIS = "redis"
    FLEET = "fleet"
    EVENTS = "events"
    TASKS = "tasks"
    LIMITS = "limits"
    ARCHIVE = "archive"
    USAGE = "usage"
    TRACES = "traces"
    MONITORING = "monitoring"


class TaskStatus(StrEnum):
    """How far it is."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskSummary(msgspec.Struct, frozen=True):
    """A task as administrators see it: never with content."""

    id: str
    kind: TaskKind
    pod: str
    status: TaskStatus
    started_at: datetime
    ended_at: datetime | None
    seconds: float
    """Its age, or how long it took."""
    facts: dict[str, str]
    restarts: int
    result: str | None
    error: str | None
    cancellable: bool


class Task:
    """One task. Whoever does it notes what comes of it."""

    def __init__(self, identity: str, kind: TaskKind, facts: Mapping[str, str], began: datetime) -> None:
        self.id, self.kind, self.facts, self.started_at = identity, kind, dict(facts), began
        self.status = TaskStatus.RUNNING
        self.ended_at: datetime | None = None
        self.restarts = 0
        self.result: str | None = None
        self.error: str | None = None
        self.cancel: Callable[[], None] | None = None

    def failed(self, error: str) -> None:
        """Note that it has failed, and why."""
        self.status, self.error = TaskStatus.FAILED, error

    def cancelled(self) -> None:
        """Note that it was cancelled."""
        self.status = TaskStatus.CANCELLED

    @property
    def cancellable(self) -> bool:
        """Whether it runs, and can be cancelled."""
        return self.status is TaskStatus.RUNNING and self.cancel is not None


class Tasks:
    """The tasks of a pod. Any thread may begin one."""

    def __init__(self, pod: str, *, now: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        """`now` returns the time of day with its zone; `new_id` makes UUIDs."""
        self._pod = pod
        self._now = now
        self._new_id = new_id
        self._running: dict[str, Task] = {}
        self._ended: deque[Task] = deque(maxlen=MAX_ENDED)
        self._lock = Lock()

    @contextmanager
    def running(
        self,
        kind: TaskKind,
        facts: Mapping[str, str],
        *,
        identity: str | None = None,
        cancel: Callable[[], None] | None = None,
    ) -> Generator[Task, None, None]:
        """Show a task while the block lasts, and for a while after it. `cancel` runs on the loop of the pod."""
        task = self._begin(kind, facts, identity, cancel)
        try:
            yield task
        except asyncio.CancelledError:
            task.cancelled()
            raise
        except Exception as error:  # noted, and raised again
            task.failed(type(error).__name__)
            raise
        finally:
            if task.status is TaskStatus.RUNNING:
                task.status = TaskStatus.COMPLETED
            task.ended_at = self._now()
            with self._lock:
                if self._running.pop(task.id, None) is not None:
                    self._ended.append(task)

    def lasting(self, kind: TaskKind, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Return `run` as a task that lasts: whoever calls it again restarts it."""
        task, begun = self._begin(kind, {}, None, None), False

        async def running() -> None:
            nonlocal begun
            task.restarts += begun
            begun, task.status = True, TaskStatus.RUNNING
            try:
                await run()
            except Exception as error:  # noted, and raised again
                task.failed(type(error).__name__)
                raise

        return running

    def all(self) -> list[TaskSummary]:
        """Return the tasks: those that run, then those that have ended, the newest first."""
        now = self._now()
        with self._lock:
            tasks = [*reversed(self._running.values()), *reversed(self._ended)]
        return [self._summary(task, now) for task in tasks]

    def cancel(self, identity: str) -> bool:
        """Cancel a task; returns whether it runs here, and can be cancelled."""
        with self._lock:
            task = self._running.get(identity)
        if task is None or not task.cancellable or task.cancel is None:
            return False
        task.cancel()
        return True

    def _begin(
        self, kind: TaskKind, facts: Mapping[str, str], identity: str | None, cancel: Callable[[], None] | None
    ) -> Task:
        task = Task(identity or self._new_id(), kind, facts, self._now())
        task.cancel = cancel
        with self._lock:
            if len(self._running) < MAX_RUNNING:
                self._running[task.id] = task
        return task

    def _summary(self, task: Task, now: datetime) -> TaskSummary:
        return TaskSummary(
            id=task.id,
            kind=task.kind,
            pod=self._pod,
            status=task.status,
            started_at=task.started_at,
            ended_at=task.ended_at,
            seconds=round(((task.ended_at or now) - task.started_at).total_seconds(), 3),
            facts=task.facts,
            restarts=task.restarts,
            result=task.result,
            error=task.error,
            cancellable=task.cancellable,
        )
