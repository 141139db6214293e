"""What every ledger promises: each record counts once in the sums of its day and of its conversation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from chatfleet_api.usage.open_answers import Look
from chatfleet_api.usage.record import Row, UsageRecord
from chatfleet_api.usage.settlement import Settlement

Sums: TypeAlias = Mapping[Row, Mapping[str, int]]
"""Counters of each row of a day."""
Counters: TypeAlias = Counter[str]


class Ledger(Protocol):
    """The sums of what answers have used, by tenant. No method sees across tenants but `totals`."""

    def add(self, record: UsageRecord) -> Settlement | None:
        """Add a record that no other step adds; never waits.

        Returns None; for a run that is logged see `settlement`.
        """
        ...

    def settlement(self, record: UsageRecord) -> Settlement | None:
        """Return what the step that ends a run has to add; None: nothing has, since the record was added at once."""
        ...

    def following(self, run: str, look: Look) -> AbstractContextManager[None]:
        """Have what `look` shows counted if this process dies within the block; `add` ends that before."""
        ...

    async def days(self, tenant: str, days: Sequence[str]) -> Sequence[Sums]:
        """Return the sums of each day; raises `ChatError(STORAGE_UNAVAILABLE)`."""
        ...

    async def conversation(self, tenant: str, conversation: str) -> Mapping[str, int]:
        """Return the counters of a conversation, empty ones when it has none; raises as `days`."""
        ...

    async def totals(self, day: str) -> Mapping[str, int]:
        """Return the counters of a day, of all tenants; raises as `days`."""
        ...
