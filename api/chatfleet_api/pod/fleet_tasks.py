"""What a pod does as one of a fleet: heartbeats, and what those see who administrate all pods."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from chatfleet_api.archive.keeper import ArchiveKeeper
from chatfleet_api.domain.tasks import TaskKind
from chatfleet_api.limits.together import Together
from chatfleet_api.runs.fleet.events import FleetEvents
from chatfleet_api.runs.fleet.interface import HeartbeatResult
from chatfleet_api.runs.fleet.tasks import TaskDirectory

Lasting: TypeAlias = tuple[TaskKind, Callable[[], Awaitable[None]]]
"""A task that lasts as long as its pod."""


def of_fleet(
    supervise: Callable[[Callable[[HeartbeatResult], None]], Awaitable[None]],
    events: FleetEvents,
    tasks: TaskDirectory,
) -> list[Lasting]:
    """Return the tasks; `supervise` calls what it gets with what each heartbeat has found."""

    def found(result: HeartbeatResult) -> None:
        events.tapped(result.tapped)
        tasks.wanted(result.tasks_wanted)

    return [
        (TaskKind.FLEET, partial(supervise, found)),
        (TaskKind.EVENTS, events.write_forever),
        (TaskKind.TASKS, tasks.write_forever),
    ]


def of_archive(archive: ArchiveKeeper | None) -> list[Lasting]:
    """Return what a pod does for the archive; nothing without Redis."""
    if archive is None:
        return []
    return [(TaskKind.ARCHIVE, archive.run), (TaskKind.MONITORING, archive.watch)]


def of_limits(together: Together | None) -> list[Lasting]:
    """Return what a pod does for limits; nothing without Redis."""
    return [] if together is None else [(TaskKind.LIMITS, together.run)]
