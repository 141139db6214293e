"""From `spec.limits.budget` and `budgets` to what one request takes of each budget that applies. Pure.

Money is whole billionths of a US dollar, rounded up for each answer: Redis adds them, and its scripts compare them,
without an error up to nine million dollars. A day and a month are those in which a request began, in `timeZone`.
"""

import logging
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.quota import BUDGETS, FLEET, Demand
from chatfleet_api.limits.plan import scopes
from chatfleet_api.limits.verdict import NANODOLLAR, SECOND
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Budget, Budgets

_DAY: Final = timedelta(days=1)
_NONE: Final = Budgets()

logger = logging.getLogger(__name__)


class Asked(NamedTuple):
    """What a request may use."""

    model: str
    input_tokens: int
    output_tokens: int


@lru_cache(maxsize=8)
def zone_of(name: str) -> tzinfo:
    """Return a time zone; UTC for a name that this Python does not have."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415  # only where a zone is named

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        logger.exception("Time zone %s is unknown, budgets are those of UTC", name)
        return UTC


class _Period(NamedTuple):
    name: str
    interval: float
    """Microseconds until it ends, at least a second: a shorter wait would not refuse a request."""


def budget_demands(
    limits: Limits, principal: Principal, asked: Asked, prices: PriceBook, now: datetime
) -> tuple[Demand, ...]:
    """Return what a request takes of each budget; `now` has any zone.

    Raises:
        ChatError: BUDGET_EXHAUSTED, for a model whose price is not known where a budget is in USD.
    """
    day, month = _periods(now, zone_of(limits.time_zone))
    demands: list[Demand] = []
    cost = None
    for scope, budget in _budgets(limits, principal):
        if budget.tokens_per_day is not None:
            tokens = asked.input_tokens + asked.output_tokens
            demands.append(_demand(scope, "daily", budget.tokens_per_day, day, tokens))
        for text, period in ((budget.usd_per_day, day), (budget.usd_per_month, month)):
            if text is not None:
                cost = _cost(asked, prices, now) if cost is None else cost
                demands.append(_demand(scope, "usd", _limit(text), period, cost))
    return tuple(demands)


def instead(limits: Limits, principal: Principal, demand: Demand) -> str | None:
    """Return the model that answers in the place of one for which too little of a budget is left, if any."""
    scope, _, _ = demand.meter.rpartition(":")[0].rpartition(":")
    budget = dict(_budgets(limits, principal)).get(scope) if demand.unit in BUDGETS else None
    return None if budget is None else budget.degrade_to


def _budgets(limits: Limits, principal: Principal) -> list[tuple[str, Budget]]:
    each = limits.budgets or _NONE
    of_caller = scopes(principal, each.per_tenant, each.per_key, each.per_user)
    return of_caller if limits.budget is None else [(FLEET, limits.budget), *of_caller]


def spent(demand: Demand, usage: Usage | None) -> int:
    """Return what an answer used of a meter; what is not known is all that was reserved."""
    if usage is None or demand.unit in {"requests", "streams"}:
        return demand.cost
    tokens = usage.input_tokens + usage.output_tokens
    if demand.unit != "usd":
        return tokens
    if usage.cost_usd is None:
        return demand.cost if tokens else 0
    return nanodollars(usage.cost_usd)


def has_budget(demands: tuple[Demand, ...]) -> bool:
    """Return whether one of the meters is a budget."""
    return any(each.unit in BUDGETS for each in demands)


def nanodollars(usd: Decimal) -> int:
    """Return an amount as budgets count it."""
    return int((usd / NANODOLLAR).to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=1024)
def _limit(usd: str) -> int:
    return nanodollars(Decimal(usd))


def _demand(scope: str, unit: str, limit: int, period: _Period, cost: int) -> Demand:
    meter = f"{scope}:{unit}:{period.name}"
    return Demand(meter, "usd" if unit == "usd" else "daily", limit, period.interval, cost)


def _cost(asked: Asked, prices: PriceBook, now: datetime) -> int:
    most = prices.most(asked.model, asked.input_tokens, asked.output_tokens, now)
    if most is None:
        message = f"The price of model '{asked.model}' is not known, and a budget in USD applies; use another model."
        raise ChatError(Code.BUDGET_EXHAUSTED, message, param="model")
    return nanodollars(most)


def _periods(now: datetime, zone: tzinfo) -> tuple[_Period, _Period]:
    here = now.astimezone(zone)
    # In one zone times would be subtracted as clocks show them, and a day is not always 24 hours.
    at = now.astimezone(UTC)
    day, month = (
        _Period(name, max((end - at).total_seconds(), 1.0) * SECOND) for name, end in _ends(here.date(), zone)
    )
    return day, month


@lru_cache(maxsize=8)
def _ends(today: date, zone: tzinfo) -> tuple[tuple[str, datetime], tuple[str, datetime]]:
    """Return the names of a day and its month, and when they end (UTC)."""
    midnight = datetime(today.year, today.month, today.day, tzinfo=zone)
    next_month = (midnight.replace(day=28) + 4 * _DAY).replace(day=1)
    return (
        (f"{today:%Y-%m-%d}", (midnight + _DAY).astimezone(UTC)),
        (f"{today:%Y-%m}", next_month.astimezone(UTC)),
    )
