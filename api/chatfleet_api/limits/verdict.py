"""What was decided about a request, and how its caller is answered. Pure."""

from collections.abc import Sequence
from math import inf
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.quota import Allowance, Demand, Quota

SECOND: Final = 1_000_000
"""Microseconds."""
STREAM_WAIT: Final = 1 * SECOND
"""Wait when streams are the limit: when one ends is not known."""
SLACK: Final = SECOND // 1000
"""Too short a wait to refuse a request for: longer than what times lose by rounding."""
_SCOPES: Final = {"tenant": "tenant", "key": "API key", "user": "user", "model": "model"}


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
    tightest: dict[str, Allowance] = {}
    for demand, each in zip(demands, left, strict=True):
        known = tightest.get(demand.unit)
        if each.remaining < (inf if known is None else known.remaining):
            tightest[demand.unit] = Allowance(demand.limit, each.remaining, each.reset / SECOND)
    return Quota(tightest.get("requests"), tightest.get("tokens"))


def refusal(demands: Sequence[Demand], verdict: Verdict) -> ChatError:
    """Return the error for a request that was refused."""
    demand = demands[verdict.refused or 0]
    scope = _SCOPES[demand.meter.partition(":")[0]]
    if demand.unit == "streams":
        message = f"The limit of the {scope} is reached: {demand.limit} concurrent streams."
    else:
        rate = round(60 * SECOND / demand.interval)
        message = f"The limit of the {scope} is reached: {rate} {demand.unit} per minute."
    error = ChatError(Code.LIMIT_EXCEEDED, message, retry_after=verdict.wait / SECOND)
    error.quota = quota(demands, verdict.left)
    return error
