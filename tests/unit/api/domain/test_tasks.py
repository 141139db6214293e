"""Tasks are shown while they run and for a while after it, within bounds, and never with the text of an error."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from chatfleet_api.domain.tasks import MAX_ENDED, MAX_RUNNING, TaskKind, Tasks, TaskStatus

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Clock:
    """The time of day of a test."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def ids() -> Callable[[], str]:
    numbers = iter(range(10_000))
    return lambda: str(next(numbers))


def made(clock: Clock | None = None) -> Tasks:
    return Tasks("pod-1", now=clock or Clock(), new_id=ids())


def test_a_task_has_its_age_and_its_result() -> None:
    clock = Clock()
    tasks = made(clock)
    with tasks.running(TaskKind.INDEXING, {"sources": "terms"}) as task:
        clock.now += timedelta(seconds=3)
        (shown,) = tasks.all()
        assert (shown.status, shown.seconds, shown.ended_at, shown.pod) == (TaskStatus.RUNNING, 3.0, None, "pod-1")
        task.result = "2 chunks of 1 documents"
    clock.now += timedelta(hours=1)
    (shown,) = tasks.all()
    assert (shown.status, shown.seconds, shown.result) == (TaskStatus.COMPLETED, 3.0, "2 chunks of 1 documents")
    assert (shown.started_at, shown.ended_at) == (NOON, NOON + timedelta(seconds=3))


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (ValueError("sk-secret"), TaskStatus.FAILED, "ValueError"),
        (asyncio.CancelledError(), TaskStatus.CANCELLED, None),
    ],
)
def test_a_task_that_raises_has_the_kind_of_its_error(
    error: BaseException, status: TaskStatus, shown: str | None
) -> None:
    tasks = made()
    with pytest.raises(type(error)), tasks.running(TaskKind.TITLE, {}):
        raise error
    (task,) = tasks.all()
    assert (task.status, task.error) == (status, shown)


def test_memory_is_bounded() -> None:
    tasks = made()
    for _ in range(MAX_ENDED + 50):
        with tasks.running(TaskKind.TITLE, {}):
            pass
    newest = tasks.all()
    assert (len(newest), newest[0].id) == (MAX_ENDED, str(MAX_ENDED + 49))
    tasks = made()
    for _ in range(MAX_RUNNING + 50):
        tasks.lasting(TaskKind.USAGE, lambda: asyncio.sleep(0))
    assert len(tasks.all()) == MAX_RUNNING
    with tasks.running(TaskKind.TITLE, {}):
        pass
    assert len(tasks.all()) == MAX_RUNNING


def test_only_what_runs_and_can_be_cancelled_is() -> None:
    tasks, cancelled = made(), list[str]()
    with tasks.running(TaskKind.TITLE, {}, identity="a", cancel=lambda: cancelled.append("a")) as task:
        assert tasks.all()[0].cancellable
        assert tasks.cancel("a")
        task.cancelled()
    assert not tasks.cancel("a")
    with tasks.running(TaskKind.INDEXING, {}, identity="b"):
        assert not tasks.all()[0].cancellable
        assert not tasks.cancel("b")
    assert not tasks.cancel("unknown")
    assert cancelled == ["a"]
    assert [(task.id, task.status) for task in tasks.all()] == [
        ("b", TaskStatus.COMPLETED),
        ("a", TaskStatus.CANCELLED),
    ]


async def test_a_task_that_lasts_counts_its_restarts_and_keeps_its_last_error() -> None:
    tasks, going = made(), asyncio.Event()

    async def run() -> None:
        if not going.is_set():
            raise OSError("password")
        await asyncio.Event().wait()

    lasting = tasks.lasting(TaskKind.WEBHOOKS, run)
    with pytest.raises(OSError, match="password"):
        await lasting()
    (shown,) = tasks.all()
    assert (shown.status, shown.error, shown.restarts, shown.cancellable) == (TaskStatus.FAILED, "OSError", 0, False)
    going.set()
    running = asyncio.ensure_future(lasting())
    await asyncio.sleep(0)
    (shown,) = tasks.all()
    assert (shown.status, shown.error, shown.restarts) == (TaskStatus.RUNNING, "OSError", 1)
    running.cancel()
    await asyncio.wait([running])
