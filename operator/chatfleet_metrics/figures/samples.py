"""What pods said about themselves, how fast it changes, and when it is too old to be told. Pure.

A sample is never carried on: a pod that has been silent for three periods has no figure, and the autoscaler, which
must then assume the worst, does not scale down. A pod that says 0 has the figure 0.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from chatfleet_contract import metrics

SCRAPED: Final = (metrics.ACTIVE_STREAMS, metrics.TOKENS_TOTAL, metrics.QUEUED_REQUESTS)
"""The series that are read from a pod; each is summed over its labels."""

STALE_PERIODS: Final = 3
"""A sample older than this many scrape periods is not told."""

_WANTED: Final = frozenset(name.encode() for name in SCRAPED)
_PREFIX: Final = b"chatfleet_"


class Scrape(NamedTuple):
    """One look at one pod."""

    at: float
    """On the event loop's clock."""
    values: Mapping[str, float]


class Reading(NamedTuple):
    """A figure as it is served."""

    value: float
    at: float
    window: int = 0
    """Seconds over which it was taken; 0: at one moment."""


class History(NamedTuple):
    """The last two looks at one pod."""

    last: Scrape
    before: Scrape | None = None

    def then(self, scrape: Scrape) -> "History":
        """Return the history after another look."""
        return History(scrape, self.last)

    def is_stale(self, now: float, period: float) -> bool:
        """Say whether the last look is too old."""
        return now - self.last.at > STALE_PERIODS * period


def read_exposition(text: bytes) -> dict[str, float]:
    """Return the sum of each wanted series in Prometheus' text format; raises ValueError where a value is no number.

    A reader of these lines alone: a tenth of the cost of prometheus_client's parser, and it meets only our own pods.
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


def _gauge(name: str) -> Callable[[History], Reading | None]:
    def read(history: History) -> Reading | None:
        value = history.last.values.get(name)
        return None if value is None else Reading(value, history.last.at)

    return read


def _tokens_per_second(history: History) -> Reading | None:
    """Return the rate between the last two looks; None after a restart, when the counter is smaller than it was."""
    last, before = history
    if before is None or last.at <= before.at:
        return None
    new, old = (_tokens(scrape.values) for scrape in (last, before))
    if new is None or old is None or new < old:
        return None
    seconds = last.at - before.at
    return Reading((new - old) / seconds, last.at, max(1, round(seconds)))


def _tokens(values: Mapping[str, float]) -> float | None:
    """Return the counter, which has no series before its first token: a pod that tells the rest has had none."""
    return values.get(metrics.TOKENS_TOTAL, 0.0 if metrics.ACTIVE_STREAMS in values else None)


SERVED: Final[Mapping[str, Callable[[History], Reading | None]]] = {
    metrics.ACTIVE_STREAMS: _gauge(metrics.ACTIVE_STREAMS),
    metrics.TOKENS_PER_SECOND: _tokens_per_second,
    metrics.QUEUED_REQUESTS: _gauge(metrics.QUEUED_REQUESTS),
}
"""The metrics of `custom.metrics.k8s.io` that there are, and how each is got from a pod's history."""
