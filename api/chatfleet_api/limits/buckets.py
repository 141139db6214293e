"""Meters in the memory of one pod: the decision of `script.py` in Python. Pure: time is an argument.

Requests and tokens are metered by GCRA (generic cell rate algorithm): a meter keeps one time, at which all that was
taken of it is back. A request passes when that time, with what it takes added, is at most a burst ahead. A budget is a
sum: what answers have used, and what those that are under way may use.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from chatfleet_api.domain.quota import BUDGETS, Demand, Held, qualified
from chatfleet_api.limits.verdict import SLACK, STREAM_WAIT, Left, Verdict
from chatfleet_contract.spec.limits import LONGEST_WAIT_SECONDS

LONGEST_DEBT: Final = LONGEST_WAIT_SECONDS * 1_000_000
"""Microseconds. What answers used beyond that, and had not reserved, is forgiven."""
KEEP_SUMS: Final = 86_400_000_000
"""Microseconds for which a budget is kept after its end, when the last of its answers may still be under way."""
PRUNE_AT: Final = 10_000
"""Meters after which those that are full are dropped, which is what an absent one is."""


class _Taken(NamedTuple):
    until: float
    """When it would be back, were nothing else taken after it."""
    cost: int
    interval: float


class Buckets:
    """Meters and their leases."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._leases: dict[str, set[str]] = {}
        self._taken: dict[tuple[str, str], _Taken] = {}
        self._sums: dict[str, int] = {}
        self._sums_until: dict[str, float] = {}

    def reserve(self, tenant: str, lease: str, demands: Sequence[Demand], now: float) -> Verdict:
        """Take all of `demands`, or nothing."""
        refused, wait = None, 0.0
        for number, demand in enumerate(demands):
            missing = self._missing(qualified(tenant, demand.meter), demand, now)
            if missing > max(wait, SLACK):
                refused, wait = number, missing
        if refused is None:
            self.hold(tenant, lease, demands)
            for demand in demands:
                if demand.unit != "streams":
                    self._take(qualified(tenant, demand.meter), lease, demand, now)
        return Verdict(refused, wait, tuple(self._left(qualified(tenant, each.meter), each, now) for each in demands))

    def hold(self, tenant: str, lease: str, demands: Sequence[Demand]) -> None:
        """Count the streams of an answer that is under way."""
        for demand in demands:
            if demand.unit == "streams":
                self._leases.setdefault(qualified(tenant, demand.meter), set()).add(lease)

    def release(self, tenant: str, held: Held, spent: Sequence[int], now: float) -> None:
        """Settle an answer with what was `spent` of each of its meters; it costs nothing where others decided."""
        if self._leases or self._taken:
            by_meter = [(each.meter, used) for each, used in zip(held.demands, spent, strict=True)]
            self.settle(tenant, held.lease, by_meter, now)

    def settle(self, tenant: str, lease: str, spent: Sequence[tuple[str, int]], now: float) -> None:
        """Put what was `spent`, by meter, in the place of what was reserved. Twice is as good as once."""
        for meter, used in spent:
            key = qualified(tenant, meter)
            if (taken := self._taken.pop((key, lease), None)) and key in self._sums:
                self._sums[key] += used - taken.cost
            elif taken:
                more = (used - taken.cost) * taken.interval
                self._times[key] = settled(self._times.get(key, now), more, taken.until, now)
            elif (leases := self._leases.get(key)) is not None:
                leases.discard(lease)
                if not leases:
                    del self._leases[key]

    def prune(self, now: float) -> None:
        """Forget meters that are full."""
        if len(self._times) > PRUNE_AT:
            self._times = {key: time for key, time in self._times.items() if time > now}
        for key in [key for key, until in self._sums_until.items() if until < now]:
            del self._sums[key], self._sums_until[key]

    def _missing(self, key: str, demand: Demand, now: float) -> float:
        if demand.unit == "streams":
            return STREAM_WAIT * (len(self._leases.get(key, ())) >= demand.limit)
        if demand.unit in BUDGETS:
            return demand.interval * (self._sums.get(key, 0) + demand.cost > demand.limit)
        return max(self._times.get(key, now), now) - now + (demand.cost - demand.limit) * demand.interval

    def _take(self, key: str, lease: str, demand: Demand, now: float) -> None:
        if demand.unit in BUDGETS:
            self._sums[key] = self._sums.get(key, 0) + demand.cost
            self._sums_until[key] = now + demand.interval + KEEP_SUMS
            self._taken[key, lease] = _Taken(0.0, demand.cost, demand.interval)
            return
        until = max(self._times.get(key, now), now) + demand.cost * demand.interval
        self._times[key] = until
        self._taken[key, lease] = _Taken(until, demand.cost, demand.interval)

    def _left(self, key: str, demand: Demand, now: float) -> Left:
        if demand.unit == "streams":
            return Left(max(demand.limit - len(self._leases.get(key, ())), 0), 0.0)
        if demand.unit in BUDGETS:
            return Left(max(demand.limit - self._sums.get(key, 0), 0), demand.interval)
        reset = max(self._times.get(key, now) - now, 0.0)
        return Left(max(int(demand.limit - reset / demand.interval + 1e-6), 0), reset)


def settled(time: float, more: float, until: float, now: float) -> float:
    """Return the time of a meter after an answer that used `more` (or less) microseconds than it had reserved.

    What it did not use is given back only as far as it has not come back by itself: its own part was back at `until`.
    """
    if more > 0:
        return min(max(time, now) + more, now + LONGEST_DEBT)
    return time - min(-more, max(until - now, 0.0))
