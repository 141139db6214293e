"""Which pods are removed first when replicas are reduced: those with the fewest streams. Pure.

A ReplicaSet removes ready pods by their `pod-deletion-cost`, the lowest first. The cost is the number of streams when
it was last written. It is written again only where the order of pods is wrong by much, and not often.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final

from chatfleet_operator.model.values import Pod

WRITE_SECONDS: Final = 30.0
"""Least time between two writes of one pod's cost."""

IMBALANCE_FACTOR: Final = 2
"""Pods differ when one has more than this many times the streams of the other."""


def stale_costs(pods: Iterable[Pod]) -> Mapping[str, int]:
    """Return the costs to be written, by pod: none as long as pods with far fewer streams are removed first."""
    known = sorted((pod for pod in pods if pod.report and not pod.terminating), key=_streams)
    streams, costs = [_streams(pod) for pod in known], [pod.deletion_cost for pod in known]
    max_cost_up_to = list(accumulate(costs, max))
    min_cost_from = list(accumulate(reversed(costs), min))[::-1]

    def is_misplaced(pod: Pod) -> bool:
        fewer = bisect_left(streams, _streams(pod) / IMBALANCE_FACTOR)  # pods before this index have far fewer streams
        more = bisect_right(streams, _streams(pod) * IMBALANCE_FACTOR)  # pods from this index on have far more
        removed_too_early = fewer > 0 and max_cost_up_to[fewer - 1] >= pod.deletion_cost
        removed_too_late = more < len(known) and min_cost_from[more] <= pod.deletion_cost
        return removed_too_early or removed_too_late

    return {
        pod.name: _streams(pod)
        for pod in known
        if pod.deletion_cost != _streams(pod) and pod.deletion_cost_age >= WRITE_SECONDS and is_misplaced(pod)
    }


def _streams(pod: Pod) -> int:
    return pod.report.active_streams if pod.report else 0
