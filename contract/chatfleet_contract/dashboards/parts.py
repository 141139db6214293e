"""What a dashboard is made of."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

RATE: Final = "[$__rate_interval]"
"""The range of rates, which Grafana chooses."""


class Panel(NamedTuple):
    """One graph."""

    title: str
    description: str
    queries: Mapping[str, str]
    """PromQL by legend."""
    unit: str = "short"


class Variable(NamedTuple):
    """What is chosen above the graphs."""

    name: str
    query: str


class Dashboard(NamedTuple):
    """One dashboard."""

    name: str
    title: str
    panels: Sequence[Panel]
    variables: Sequence[Variable] = ()
