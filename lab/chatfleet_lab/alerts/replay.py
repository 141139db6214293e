"""What was recorded, again and again: series for promtool. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from chatfleet_contract.metric_row import Kind
from chatfleet_contract.metrics import METRICS, METRICS_APISERVER_CERTIFICATE_EXPIRY
from chatfleet_lab.alerts.recording import Recording, Target
from harness.promtool import Series

COUNTERS: Final = re.compile(r"_(total|bucket|sum|count)$")


def is_counter(series: str) -> bool:
    """Return whether a series counts, or is a part of a histogram."""
    name = series.partition("{")[0]
    row = METRICS.get(name)
    return row.kind is Kind.COUNTER if row else bool(COUNTERS.search(name))


def expanded(target: Target, recording: Recording, steps: int, times: float = 1) -> Iterator[Series]:
    """Yield a target's series: what it counted is counted `times` in each step, and gauges stay as they were last."""
    for series, (before, after) in target.series.items():
        name, brace, labels = series.partition("{")
        own = labels.removesuffix("}") if brace else ""
        honoured = {key: value for key, value in target.labels.items() if f'{key}="' not in own}
        added = ",".join(f'{key}="{value}"' for key, value in honoured.items())
        of_now = recording.at if name == METRICS_APISERVER_CERTIFICATE_EXPIRY else 0.0
        step = (after - before) * times if is_counter(series) else 0.0
        first = 0.0 if is_counter(series) else after - of_now
        yield Series(f"{name}{{{','.join(filter(None, (own, added)))}}}", f"{first!r}+{step!r}x{steps}")
