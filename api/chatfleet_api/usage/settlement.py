"""What one record adds to the ledger, as the step in Redis takes it."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

MAX_ROWS: Final = 10_000
"""Rows of a tenant and day beyond which users that are new are summed as one."""
DAYS_KEPT: Final = 400
"""Retention of the sums: a year and the month that is being paid."""

AddedRow: TypeAlias = tuple[str, str, Sequence[str]]
"""The beginning of the fields of a row, that of the row in its place if there are too many, and counters by name."""
Packed: TypeAlias = tuple[Sequence[AddedRow], int, int]
"""Rows, and for how many seconds the sums of days are kept, and those of the conversation (0: there is none)."""


class Settlement(NamedTuple):
    """The keys of the sums, and the argument of `settle` in `ledger_script.py`."""

    keys: tuple[str, str, str]
    """Of the day of the tenant, of the day of all tenants, and of the conversation."""
    packed: Packed


class Swept(NamedTuple):
    """What another process has added for one that was dead to it."""

    keys: tuple[str, str, str]
    packed: Packed
    sweeper: str = ""

    @property
    def settlement(self) -> Settlement:
        """What was added."""
        return Settlement(self.keys, self.packed)
