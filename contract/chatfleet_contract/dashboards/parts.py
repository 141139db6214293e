"""What a dashboard is made of."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


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
