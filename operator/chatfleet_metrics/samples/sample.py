"""Samples of a pod's metrics: parsing, rates and staleness. Pure.

A sample is never carried forward: a pod without an answer for three periods has no value. The autoscaler must then
assume the worst and does not scale down. A pod that reports 0 has the value 0.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from chatfleet_contract import metrics

SCRAPED: Final = (metrics.ACTIVE_STREAMS, metrics.TOKENS_TOTAL, metrics.QUEUED_REQUESTS)
"""The series that are read from a pod; each is summed over its labels."""

STALE_PERIODS: Final = 3
"""A sample older than this many scrape periods is stale and not served."""

_WANTED: Final = frozenset(name.encode() for name in SCRAPED)
_PREFIX: Final = b"chatfleet_"


class Sample(NamedTuple):
    """The result of one scrape of one pod."""

    at: float
    """On the event loop's clock."""
    values: Mapping[str, float]


class MetricValue(NamedTuple):
    """The value of a metric, as it is served."""

    value: float
    at: float
    window: int = 0
    """Seconds over which it was measured; 0: an instant value."""


class History(NamedTuple):
    """The last two samples of one pod."""

    last: Sample
    before: Sample | None = None

    def append(self, sample: Sample) -> "History":
        return History(sample, self.last)

    def is_stale(self, now: float, period: float) -> bool:
        return now - self.last.at > STALE_PERIODS * period


def parse_exposition(text: bytes) -> dict[str, float]:
    """Return the sum of each wanted series in Prometheus' text format; raises ValueError for a value that is no number.

    This costs a tenth of prometheus_client's parser; it reads only what our own pods write.
    """
    found: dict[str, float] = {}
    for line in text.split(b"\n"):
        if not line.startswith(_PREFIX):
            continue
        series, _, rest = line.partition(b" ")
        name = series.partition(b"{")[0]
        if name in _WANTED:
            value = float((line.rpartition(b"}")[2] if b"{" in line else rest).split()[0])
            if not math.isfinite(value):
                raise ValueError(f"{name.decode()} is {value}")
            found[name.decode()] = found.get(name.decode(), 0.0) + value
    return found


def _gauge(name: str) -> Callable[[History], MetricValue | None]:
    def read(history: History) -> MetricValue | None:
        value = history.last.values.get(name)
        return None if value is None else MetricValue(value, history.last.at)

    return read


def _tokens_per_second(history: History) -> MetricValue | None:
    """Return the rate between the last two samples; None after a restart, when the counter has decreased."""
    last, before = history
    if before is None or last.at <= before.at:
        return None
    new, old = (_tokens(sample.values) for sample in (last, before))
    if new is None or old is None or new < old:
        return None
    seconds = last.at - before.at
    return MetricValue((new - old) / seconds, last.at, max(1, round(seconds)))


def _tokens(values: Mapping[str, float]) -> float | None:
    """Return the counter: 0 for a pod that reports its streams only, as the series appears with the first token."""
    return values.get(metrics.TOKENS_TOTAL, 0.0 if metrics.ACTIVE_STREAMS in values else None)


SERVED: Final[Mapping[str, Callable[[History], MetricValue | None]]] = {
    metrics.ACTIVE_STREAMS: _gauge(metrics.ACTIVE_STREAMS),
    metrics.TOKENS_PER_SECOND: _tokens_per_second,
    metrics.QUEUED_REQUESTS: _gauge(metrics.QUEUED_REQUESTS),
}
"""The metrics that `custom.metrics.k8s.io` serves, and how each is computed from a pod's history."""
