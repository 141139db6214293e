"""`/admin/tasks`: what all pods do in the background, and what came of it."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response

from chatfleet_api.admin.answers import answer
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.tasks import TaskKind, TaskStatus, TaskSummary

_Name = Annotated[str | None, Query(max_length=256)]


class TaskList(msgspec.Struct, frozen=True):
    """Tasks: those that run first, then the newest first."""

    data: list[TaskSummary]
    total: int
    """Also of those that `limit` leaves out."""
    whole: bool
    """False: a pod did not answer, or Redis is unreachable, and tasks are missing."""


def task_routes(admin: AdminServices) -> APIRouter:
    """Return the routes."""
    router = APIRouter()
    directory = admin.tasks

    async def one(task_id: str) -> TaskSummary:
        found = await directory.all()
        for task in found.tasks:
            if task.id == task_id:
                return task
        if not found.whole:
            raise ChatError(Code.STORAGE_UNAVAILABLE, "The task was not found, and a pod did not answer; try again.")
        raise ChatError(Code.NOT_FOUND, "The task does not exist, or ended long ago.")

    @router.get("/admin/tasks")
    async def tasks(
        kind: TaskKind | None = None,
        status: TaskStatus | None = None,
        pod: _Name = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """Return the tasks of all pods, or those that are named."""
        found = await directory.all()
        chosen = [
            task
            for task in found.tasks
            if kind in {None, task.kind} and status in {None, task.status} and pod in {None, task.pod}
        ]
        return answer(TaskList(chosen[:limit], len(chosen), found.whole))

    @router.get("/admin/tasks/{task_id}")
    async def task(task_id: str) -> Response:
        """Return a task."""
        return answer(await one(task_id))

    @router.delete("/admin/tasks/{task_id}")
    async def cancel(task_id: str) -> Response:
        """Cancel a task, wherever it runs."""
        found = await one(task_id)
        if not found.cancellable:
            ended = found.ended_at is not None
            message = "The task has ended." if ended else f"Tasks of kind {found.kind} cannot be cancelled."
            raise ChatError(Code.INVALID_REQUEST, message)
        await directory.cancel(task_id)
        return answer(found, 202)

    return router
