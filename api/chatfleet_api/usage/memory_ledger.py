"""The ledger of a process without Redis: gone with it, and within the bounds of the one in Redis."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from chatfleet_api.usage.ledger import Sums
from chatfleet_api.usage.open_answers import Look
from chatfleet_api.usage.record import OTHER_USERS, Row, UsageRecord, rows_of
from chatfleet_api.usage.settlement import DAYS_KEPT, MAX_ROWS

MAX_CONVERSATIONS = 10_000
"""Conversations whose sums are kept: the newest."""


class MemoryLedger:
    """A `Ledger` of one process."""

    def __init__(self) -> None:
        self._days: dict[tuple[str, str], dict[Row, Counter[str]]] = {}
        """By tenant and day."""
        self._totals: OrderedDict[str, Counter[str]] = OrderedDict()
        self._conversations: OrderedDict[tuple[str, str], Counter[str]] = OrderedDict()

    def add(self, record: UsageRecord) -> None:
        """Add a record."""
        rows = self._days.setdefault((record.tenant, record.day), {})
        for row, counters in rows_of(record):
            name = row if row in rows or len(rows) < MAX_ROWS else row._replace(user=OTHER_USERS)
            rows.setdefault(name, Counter()).update(counters)
            self._totals.setdefault(record.day, Counter()).update(counters)
            if record.conversation:
                key = (record.tenant, record.conversation)
                self._conversations.setdefault(key, Counter()).update(counters)
                self._conversations.move_to_end(key)
        self._forget()

    def settlement(self, record: UsageRecord) -> None:
        """Add the record at once: no run of this process is taken over."""
        self.add(record)

    def following(self, run: str, look: Look) -> AbstractContextManager[None]:  # noqa: ARG002  # the ledger dies, too
        return nullcontext()

    async def days(self, tenant: str, days: Sequence[str]) -> Sequence[Sums]:
        return [self._days.get((tenant, day), {}) for day in days]

    async def conversation(self, tenant: str, conversation: str) -> Mapping[str, int]:
        return self._conversations.get((tenant, conversation), Counter())

    async def totals(self, day: str) -> Mapping[str, int]:
        return self._totals.get(day, Counter())

    def _forget(self) -> None:
        while len(self._conversations) > MAX_CONVERSATIONS:
            self._conversations.popitem(last=False)
        while len(self._totals) > DAYS_KEPT:
            oldest, _ = self._totals.popitem(last=False)
            self._days = {key: rows for key, rows in self._days.items() if key[1] != oldest}
