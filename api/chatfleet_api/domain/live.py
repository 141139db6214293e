"""Live configuration: a value that is read again each time it is needed, so that a new configuration takes effect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Live(Generic[T_co]):
    """A view of the current configuration. Call it for the value, and do not keep what it returns."""

    read: Callable[[], T_co]

    def __call__(self) -> T_co:
        return self.read()

    def map(self, part: Callable[[T_co], U]) -> "Live[U]":
        """Return a view of what `part` makes of the value."""
        read = self.read
        return Live(lambda: part(read()))
