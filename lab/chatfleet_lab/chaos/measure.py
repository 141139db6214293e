"""Figures from many measurements. Pure."""

from collections.abc import Iterable
from math import ceil


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of all do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds, as figures show them."""
    return round(seconds * 1000)
