"""How much of the budgets that apply to the callers of this pod is used, as its requests have last seen it."""

from collections.abc import Sequence
from typing import Final

from chatfleet_api.domain.quota import BUDGETS, FLEET, Demand, qualified
from chatfleet_api.limits.verdict import Left

MOST: Final = 10_000
"""Budgets that are remembered: those that were seen last."""


class Shares:
    """Shares of budgets that are used or reserved. Times are microseconds."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}
        """The share of each, and when its period ends."""

    def see(self, tenant: str, demands: Sequence[Demand], left: Sequence[Left], now: float) -> None:
        """Note what a decision has shown of the budgets of a caller."""
        for demand, each in zip(demands, left, strict=True):
            if demand.unit in BUDGETS:
                key = qualified(tenant, demand.meter)
                self._seen.pop(key, None)
                self._seen[key] = (1 - each.remaining / demand.limit if demand.limit else 1.0, now + demand.interval)
                if len(self._seen) > MOST:
                    del self._seen[next(iter(self._seen))]

    def highest(self, now: float) -> float:
        """Return the share of the budget that is used most, of the periods that have not ended. For any thread."""
        return max((share for share, until in list(self._seen.values()) if until > now), default=0.0)

    def of_fleet(self, now: float) -> float | None:
        """Return the same of the budget of the ChatDeployment; None: no request has seen it. For any thread."""
        shared = qualified("", f"{FLEET}:")
        seen = (each for meter, each in list(self._seen.items()) if meter.startswith(shared))
        return max((share for share, until in seen if until > now), default=None)
