"""What is known of a metric: a row of the tables in `metrics`."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Type of a metric, as in Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """One metric."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str

    @property
    def arguments(self) -> tuple[str, str, tuple[str, ...]]:
        """The first arguments of each metric of prometheus_client."""
        return self.name, self.help, self.labels
