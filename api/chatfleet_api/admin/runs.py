"""`/admin/runs`: answers that are being written, on all pods."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response

from chatfleet_api.admin.answers import answer
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.runs.directory import RunSummary

_Name = Annotated[str | None, Query(max_length=256)]


class RunList(msgspec.Struct, frozen=True):
    """Runs in progress, the newest first."""

    data: list[RunSummary]
    total: int
    """Also of those that `limit` leaves out."""
    whole: bool
    """False: Redis is unreachable, and the runs are those of this pod alone."""


class CancelledRun(msgspec.Struct, frozen=True):
    """A run whose end was requested."""

    id: str
    tenant: str
    pod: str


def run_routes(admin: AdminServices) -> APIRouter:
    """Return the routes."""
    router = APIRouter()
    directory = admin.runs

    @router.get("/admin/runs")
    async def runs(
        tenant: _Name = None,
        pod: _Name = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """Return the runs in progress, of all tenants and pods, or of those that are named."""
        found = await directory.runs()
        chosen = [run for run in found.runs if tenant in {None, run.tenant} and pod in {None, run.pod}]
        return answer(RunList(chosen[:limit], len(chosen), found.whole))

    @router.post("/admin/runs/{run_id}/cancel")
    async def cancel(run_id: str) -> Response:
        """End a run, wherever it is produced: its readers get the error `cancelled`."""
        run = await directory.cancel(run_id)
        if run is None:
            raise ChatError(Code.NOT_FOUND, "The run is not in progress.")
        return answer(CancelledRun(run.id, run.tenant, run.pod), 202)

    return router
