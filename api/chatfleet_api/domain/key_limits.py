"""Limits and a budget that an API key has of its own, beside those that the ChatDeployment has for each key. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from chatfleet_contract.spec.limits import Budget, Burst, Limit


class KeyLimits(NamedTuple):
    """What the Secret of a key sets; None: it is not limited there."""

    limit: Limit | None = None
    budget: Budget | None = None


LimitsOfKeys: TypeAlias = Mapping[tuple[str, str], KeyLimits]
"""By tenant and subject; keys without limits of their own are not in it."""


def smaller(one: KeyLimits, other: KeyLimits) -> KeyLimits:
    """Return the smaller of each."""
    return KeyLimits(_limit(one.limit, other.limit), _budget(one.budget, other.budget))


def _limit(one: Limit | None, other: Limit | None) -> Limit | None:
    if one is None or other is None:
        return one or other
    first, second = _at_once(one), _at_once(other)
    return Limit(
        requests_per_minute=_least(one.requests_per_minute, other.requests_per_minute),
        tokens_per_minute=_least(one.tokens_per_minute, other.tokens_per_minute),
        concurrent_streams=_least(one.concurrent_streams, other.concurrent_streams),
        burst=Burst(requests=_least(first.requests, second.requests), tokens=_least(first.tokens, second.tokens)),
    )


def _at_once(limit: Limit) -> Burst:
    burst = limit.burst or Burst()
    return Burst(requests=burst.requests or limit.requests_per_minute, tokens=burst.tokens or limit.tokens_per_minute)


def _budget(one: Budget | None, other: Budget | None) -> Budget | None:
    if one is None or other is None:
        return one or other
    return one.model_copy(
        update={
            "usd_per_day": _least_usd(one.usd_per_day, other.usd_per_day),
            "usd_per_month": _least_usd(one.usd_per_month, other.usd_per_month),
            "tokens_per_day": _least(one.tokens_per_day, other.tokens_per_day),
        }
    )


def _least(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _least_usd(*amounts: str | None) -> str | None:
    return min((amount for amount in amounts if amount is not None), key=Decimal, default=None)
