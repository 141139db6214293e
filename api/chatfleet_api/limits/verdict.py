"""What was decided about a request, and how its caller is answered. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from math import inf
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.quota import BUDGETS, FLEET, Allowance, Demand, Quota, Unit

SECOND: Final = 1_000_000
"""Microseconds."""
NANODOLLAR: Final = Decimal("1e-9")
STREAM_WAIT: Final = 1 * SECOND
"""Wait when streams are the limit: when one ends is not known."""
SLACK: Final = SECOND // 1000
"""Too short a wait to refuse a request for: longer than what times lose by rounding."""
_SCOPES: Final = {FLEET: "ChatDeployment", "tenant": "tenant", "key": "API key", "user": "user", "model": "model"}


class Left(NamedTuple):
    """What a decision left of one meter."""

    remaining: int
    reset: float
    """Microseconds until it is full."""


class Verdict(NamedTuple):
    """A decision about all meters of a request at once."""

    refused: int | None
    """Number of the meter for which the request was refused, and nothing was taken of any; None: it may pass."""
    wait: float
    """Microseconds until it would pass, as far as is known."""
    left: tuple[Left, ...]


def quota(demands: Sequence[Demand], left: Sequence[Left]) -> Quota:
    """Return what is left of the tightest limit of requests, and of tokens."""
    return Quota(_tightest("requests", demands, left), _tightest("tokens", demands, left))


def _tightest(unit: Unit, demands: Sequence[Demand], left: Sequence[Left]) -> Allowance | None:
    found, least = None, inf
    for demand, each in zip(demands, left, strict=True):
        if demand.unit == unit and each.remaining < least:
            found, least = (demand, each), each.remaining
    return None if found is None else Allowance(found[0].limit, found[1].remaining, found[1].reset / SECOND)


def refusal(demands: Sequence[Demand], verdict: Verdict, now: datetime) -> ChatError:
    """Return the error for a request that was refused at `now`."""
    demand = demands[verdict.refused or 0]
    scope = _SCOPES[demand.meter.partition(":")[0]]
    if demand.unit in BUDGETS:
        return _exhausted(scope, demand, verdict.left[verdict.refused or 0], now)
    if demand.unit == "streams":
        message = f"The limit of the {scope} is reached: {demand.limit} concurrent streams."
    else:
        rate = round(60 * SECOND / demand.interval)
        message = f"The limit of the {scope} is reached: {rate} {demand.unit} per minute."
    error = ChatError(Code.LIMIT_EXCEEDED, message, retry_after=verdict.wait / SECOND)
    error.quota = quota(demands, verdict.left)
    return error


def _exhausted(scope: str, demand: Demand, left: Left, now: datetime) -> ChatError:
    period = "month" if demand.meter.count("-") == 1 else "day"
    limit, rest, cost = (_amount(demand, number) for number in (demand.limit, left.remaining, demand.cost))
    reset = now + timedelta(microseconds=left.reset)
    if scope == _SCOPES[FLEET]:  # its amounts would show a tenant what others spend
        message = f"The budget of the {scope} for this {period} has too little left for the request."
    else:
        message = f"The budget of the {scope}, {limit} per {period}, has {rest} left, and the request may use {cost}."
    return ChatError(
        Code.BUDGET_EXHAUSTED, f"{message} It resets at {reset.replace(microsecond=0):%Y-%m-%dT%H:%M:%SZ}."
    )


def _amount(demand: Demand, number: int) -> str:
    return f"{(number * NANODOLLAR).normalize():f} USD" if demand.unit == "usd" else f"{number} tokens"
