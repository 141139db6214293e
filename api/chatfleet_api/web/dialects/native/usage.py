"""`GET /api/v1/usage`: what the answers of a tenant have used and cost."""

from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Response

from chatfleet_api.chat.usage_reports import UsageReports
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.usage.report import DIMENSIONS, UsageSums
from chatfleet_api.usage.tables import as_csv, as_focus
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.dialects.native.routes import known_id
from chatfleet_api.web.documentation import fails, returns

PATH: Final = "/api/v1/usage"
_Value = Annotated[str | None, Query(max_length=256)]


class UsageReport(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Sums of the answers that ended on the days from `from` to `to` (UTC)."""

    first: str
    last: str
    group_by: list[str]
    data: list[dict[str, Any]]
    """A group each: its values, and its sums."""
    total: UsageSums


class ConversationUsage(msgspec.Struct, frozen=True):
    """Sums of the answers of one conversation."""

    conversation_id: str
    total: UsageSums


def usage_routes(reports: UsageReports) -> APIRouter:
    router = APIRouter(tags=["Usage"], responses=fails(bodies.ErrorBody))

    @router.get(PATH, openapi_extra={"responses": returns(UsageReport)})
    async def usage(  # noqa: PLR0913, PLR0917  # parameters of the query
        caller: Caller,
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
        group_by: Annotated[str, Query(max_length=256)] = "",
        provider: _Value = None,
        model: _Value = None,
        key: _Value = None,
        user_id: _Value = None,
        conversation_id: _Value = None,
        form: Annotated[Literal["json", "csv", "focus"], Query(alias="format")] = "json",
    ) -> Response:
        """Return sums of tokens and costs: of this month, or of up to 92 days, or of one conversation."""
        if conversation_id is not None:
            total = await reports.conversation(caller, known_id(conversation_id))
            return _json(ConversationUsage(conversation_id, total))
        dimensions = DIMENSIONS if form == "focus" else dimensions_of(group_by)
        wanted = {"provider": provider, "model": model, "key": key, "user": user_id and caller.user_of(user_id)}
        filters = {name: value for name, value in wanted.items() if value is not None}
        period = reports.period(first, last)
        groups, total = await reports.groups(caller, period, dimensions, filters)
        if form == "csv":
            return _csv(as_csv(groups, dimensions))
        if form == "focus":
            return _csv(as_focus(groups, caller.tenant, reports.account))
        data = [{**group.values, **msgspec.structs.asdict(group.sums)} for group in groups]
        begin, end = (day.isoformat() for day in period)
        return _json(UsageReport(begin, end, list(dimensions), data, total))

    return router


def dimensions_of(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list; raises `ChatError(INVALID_REQUEST)` for one that is none."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in DIMENSIONS]:
        message = f"Invalid value for 'group_by': {unknown[0]!r}. Supported values are: {', '.join(DIMENSIONS)}."
        raise ChatError(Code.INVALID_REQUEST, message, param="group_by")
    return names


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), 200, {"cache-control": "no-store"}, "application/json")


def _csv(text: str) -> Response:
    return Response(text, 200, {"cache-control": "no-store"}, "text/csv; charset=utf-8")
