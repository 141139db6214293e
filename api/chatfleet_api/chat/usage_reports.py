"""What a caller may see of the sums: those of its tenant, or of its user alone where its credential names one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from chatfleet_api.chat.ownership import require_visible
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Principal
from chatfleet_api.sessions.store import SessionStore
from chatfleet_api.usage.ledger import Ledger
from chatfleet_api.usage.report import Group, UsageSums, grouped, sums_of

MAX_DAYS: Final = 92
"""Days of one report: a quarter."""


@dataclass(frozen=True)
class UsageReports:
    """Every method raises `ChatError(STORAGE_UNAVAILABLE)`."""

    account: str
    """Names the ChatDeployment in tables for finance tools."""
    ledger: Ledger
    sessions: SessionStore
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""

    def period(self, first: date | None, last: date | None) -> tuple[date, date]:
        """Return the days of a report, by default those of this month; raises `ChatError(INVALID_REQUEST)`."""
        today = self.now().date()
        last = last or today
        first = first or min(last, today).replace(day=1)
        if first > last:
            message = "Invalid value for 'from': it is after 'to'; exchange both."
            raise ChatError(Code.INVALID_REQUEST, message, param="from")
        if (last - first).days >= MAX_DAYS:
            message = f"Invalid value for 'from': a report has at most {MAX_DAYS} days; choose a later one."
            raise ChatError(Code.INVALID_REQUEST, message, param="from")
        return first, last

    async def groups(
        self,
        principal: Principal,
        period: tuple[date, date],
        group_by: Sequence[str],
        filters: Mapping[str, str],
    ) -> tuple[list[Group], UsageSums]:
        """Return the sums of the days from the first to the last of `period`, in groups and in all."""
        first, last = period
        days = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
        if principal.user is not None:
            filters = {**filters, "user": principal.user}
        found = dict(zip(days, await self.ledger.days(principal.tenant, days), strict=True))
        total = next((group.sums for group in grouped(found, (), filters)), sums_of({}))
        return grouped(found, group_by, filters), total

    async def conversation(self, principal: Principal, conversation: str) -> UsageSums:
        """Return the sums of a conversation; raises `ChatError(CONVERSATION_NOT_FOUND)`."""
        await require_visible(self.sessions, principal, conversation)
        await self.sessions.get(principal.tenant, conversation)
        return sums_of(await self.ledger.conversation(principal.tenant, conversation))
