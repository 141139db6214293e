"""What the whole ChatDeployment has used today, as the reports of its pods have it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

from chatfleet_api.domain.errors import StorageUnavailableError
from chatfleet_api.usage.report import sums_of
from chatfleet_contract.report import ReportedUsage

READ_SECONDS: Final = 5.0
"""Between two reads of the sums: one hash of a dozen numbers."""


class DayUsage:
    """The sums of today, read now and then from the ledger."""

    def __init__(self, totals: Callable[[str], Awaitable[Mapping[str, int]]], *, now: Callable[[], datetime]) -> None:
        """Read by `totals`, which takes a day; `now` has zone UTC."""
        self.reported: ReportedUsage | None = None
        self._totals = totals
        self._now = now

    async def run(self) -> None:
        """Read the sums, until cancelled; while Redis is unreachable, the last ones stay."""
        while True:
            with suppress(StorageUnavailableError):  # the client has logged it
                await self.read()
            await asyncio.sleep(READ_SECONDS)

    async def read(self) -> None:
        """Read the sums once."""
        day = self._now().date().isoformat()
        sums = sums_of(await self._totals(day))
        self.reported = ReportedUsage(
            day=day, input_tokens=sums.input_tokens, output_tokens=sums.output_tokens, cost_usd=sums.cost_usd
        )
