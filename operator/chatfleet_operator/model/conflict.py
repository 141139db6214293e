"""A conflict: another client changes an object again after each repair."""

from typing import NamedTuple

from typing_extensions import override

from chatfleet_contract import names


class Writer(NamedTuple):
    """Who changed an object, as far as the object has it."""

    manager: str = ""
    """Its field manager; empty: unknown, as for a deletion."""
    operator: str | None = None
    """Of another operator: its namespace; empty: it is of an earlier version, which does not write it."""

    @override
    def __str__(self) -> str:
        if self.operator is None:
            return self.manager or "another client"
        return f"{names.FIELD_MANAGER} of namespace {self.operator}" if self.operator else "an earlier operator"


class Conflict(NamedTuple):
    """One object that another client changes after each repair."""

    kind: str
    name: str
    writer: Writer
    field: str
    """The first field that differs; empty: the object is deleted."""
    operator: str
    """Namespace of this operator."""
