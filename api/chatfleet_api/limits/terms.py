"""What is decided by: the limits of the configuration, with those that single API keys have of their own. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from chatfleet_api.domain.key_limits import KeyLimits, LimitsOfKeys, smaller
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.limits.plan import Plan
from chatfleet_api.limits.shares import Shares
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Budgets

_NONE: Final = Budgets()


class Terms(NamedTuple):
    """What is decided by."""

    limits: Live[Limits]
    keys: Callable[[], LimitsOfKeys]
    """Returns the limits that API keys have of their own; the same object until they change."""
    prices: Live[PriceBook]
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""

    def in_usd(self) -> bool:
        """Return whether a budget is in USD, also of a single key."""
        own = (each.budget for each in self.keys().values())
        return self.limits().in_usd or any(each and (each.usd_per_day or each.usd_per_month) for each in own)


class Plans:
    """The plans of one configuration and of the API keys of one moment."""

    def __init__(self, limits: Limits, keys: LimitsOfKeys, shares: Shares) -> None:
        self.limits = limits
        self.keys = keys
        self.shares = shares
        """What is seen of the budgets of these plans."""
        self.shared = Plan(limits)
        """Of all callers without limits of their own."""
        self.idle = self.shared.idle and not keys
        """Whether no request takes anything."""
        self._own: dict[KeyLimits, Plan] = {}

    def apply(self, terms: Terms) -> bool:
        """Return whether these limits are those of now."""
        return terms.limits() == self.limits and terms.keys() == self.keys

    def following(self, terms: Terms) -> "Plans":
        """Return the plans of now: these, unless there are others."""
        limits, keys = terms.limits(), terms.keys()
        if limits is self.limits and keys is self.keys:
            return self
        return Plans(limits, keys, self.shares if self.apply(terms) else Shares())

    def of(self, principal: Principal) -> Plan:
        """Return the plan of a caller."""
        own = self.keys.get((principal.tenant, principal.subject)) if self.keys and principal.subject else None
        if own is None:
            return self.shared
        plan = self._own.get(own)
        if plan is None:
            plan = self._own[own] = Plan(with_own(self.limits, own))
        return plan


def with_own(limits: Limits, own: KeyLimits) -> Limits:
    """Return the limits of a caller whose key has limits of its own: within each limit of keys, the smaller applies."""
    budgets = limits.budgets or _NONE
    least = smaller(KeyLimits(limits.per_key, budgets.per_key), own)
    changed = budgets.model_copy(update={"per_key": least.budget})
    return limits.model_copy(update={"per_key": least.limit, "budgets": changed if changed != _NONE else None})
