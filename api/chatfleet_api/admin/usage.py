"""`/admin/usage`: what the ChatDeployment, or one tenant, has used and cost."""

import asyncio
from datetime import date, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response

from chatfleet_api.admin.answers import answer
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.domain.principal import Principal
from chatfleet_api.usage.report import sums_of
from chatfleet_api.web.dialects.native.usage import dimensions_of


class AdminUsage(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Sums of the answers that ended on the days from `from` to `to` (UTC)."""

    first: str
    last: str
    tenant: str | None
    """null: of all tenants."""
    data: list[dict[str, Any]]
    """A group each: its values, and its sums."""


def usage_routes(admin: AdminServices) -> APIRouter:
    """Return the routes."""
    router = APIRouter()
    reports = admin.usage

    async def of_all(first: date, last: date) -> list[dict[str, Any]]:
        days = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
        totals = await asyncio.gather(*(reports.ledger.totals(day) for day in days))
        return [
            {"day": day, **msgspec.structs.asdict(sums_of(total))}
            for day, total in zip(days, totals, strict=True)
            if total
        ]

    async def of_tenant(tenant: str, period: tuple[date, date], group_by: str) -> list[dict[str, Any]]:
        groups, _ = await reports.groups(Principal(tenant), period, dimensions_of(group_by), {})
        return [{**group.values, **msgspec.structs.asdict(group.sums)} for group in groups]

    @router.get("/admin/usage")
    async def usage(
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
        tenant: Annotated[str | None, Query(max_length=128)] = None,
        group_by: Annotated[str, Query(max_length=256)] = "day",
    ) -> Response:
        """Return sums of this month or of up to 92 days: of all tenants by day, or of one by `group_by`."""
        period = reports.period(first, last)
        data = await of_all(*period) if tenant is None else await of_tenant(tenant, period, group_by)
        begin, end = (day.isoformat() for day in period)
        return answer(AdminUsage(begin, end, tenant, data))

    return router
