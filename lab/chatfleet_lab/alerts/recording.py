"""What is recorded: the series that a target exported before and after something happened. Pure but for the clock."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

OURS: Final = re.compile(r"^(chatfleet_\S*?(?:\{.*\})?) (\S+)$", re.MULTILINE)
"""A sample of ours in Prometheus' text format: the series, and its value."""


class Target(msgspec.Struct, frozen=True):
    """One process that is scraped."""

    labels: Mapping[str, str]
    """What a PodMonitor adds to its series."""
    series: Mapping[str, tuple[float, float]]
    """By series, as it was exported: its value before and after. A counter that was not there before was 0."""


class Recording(msgspec.Struct, frozen=True):
    """What all targets of a scenario exported."""

    at: float
    """When the last value was read, in seconds since 1970 (UTC): times among the values are relative to it."""
    targets: tuple[Target, ...]


def parse(exposition: str) -> dict[str, float]:
    """Return our series of an exposition."""
    return {series: float(value) for series, value in OURS.findall(exposition)}


def target(before: str, after: str, **labels: str) -> Target:
    """Return a target by its expositions."""
    first, last = parse(before), parse(after)
    return Target(labels, {series: (first.get(series, 0.0), value) for series, value in last.items()})
