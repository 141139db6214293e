"""The usage record of one answer: what its attempts have used and cost, for whom, and what that adds to sums. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import add
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.events import AgentUsage, Usage
from chatfleet_api.usage.attempts import Attempt
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.rates import PICODOLLAR

OTHER_USERS: Final = "~other"
"""Stands for the users of a day beyond the first ones of a tenant."""
COUNTS: Final = (
    *("input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("cache_write_30m_tokens", "cache_write_1h_tokens", "cache_write_12h_tokens"),
    *("audio_input_tokens", "audio_output_tokens"),
)
"""Numbers of a usage that are summed."""
COUNTERS: Final = (
    *("requests", *COUNTS, "estimated", "priced", "unpriced", "cost"),
    *("wasted_input_tokens", "wasted_output_tokens", "wasted_cost"),
    *("cached", "saved_input_tokens", "saved_output_tokens", "saved_priced", "saved_cost"),
)
"""Names of all counters of a row; costs are in picodollars, and `priced` and `unpriced` count charges.

`cached` counts answers from the response cache, and `saved_priced` those of known price.
"""


class Consumer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom an answer is for, within a tenant."""

    user: str = ""
    """Empty: no user is known."""
    key: str = ""
    """The subject of the credential; empty: the caller showed none."""


UNKNOWN_CONSUMER: Final = Consumer()
_NOTHING: Final = Decimal(0)


class Charge(msgspec.Struct, frozen=True, omit_defaults=True):
    """What attempts at one model have used for an answer, with its cost."""

    provider: str
    model: str
    upstream_model: str
    usage: Usage
    wasted: bool = False
    """Whether nothing of it is part of the answer."""
    saved_usd: Decimal | None = None
    """What an answer from the response cache would have cost; None: it is none, or its price is not known."""
    agent: str = ""
    """Whose part of the answer it is; empty: no agent's."""


class UsageRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one answer has used."""

    run: str
    tenant: str
    consumer: Consumer
    day: str
    """On which it ended (UTC)."""
    outcome: str
    """`complete`, or the code of the error."""
    charges: tuple[Charge, ...]
    conversation: str = ""


class Row(NamedTuple):
    """A row of the sums of a day."""

    provider: str
    model: str
    upstream_model: str
    key: str
    user: str


def charges_of(attempts: Sequence[Attempt], prices: PriceBook, at: datetime) -> tuple[Charge, ...]:
    """Return the attempts with their cost at `at`, the time when the answer ended."""
    return tuple(_charge(attempt, prices, at) for attempt in attempts)


def used_by(charges: Sequence[Charge]) -> Usage | None:
    """Return what is part of an answer; None: nothing is. What was cached counts only if nothing else was used."""
    parts = [charge.usage for charge in charges if not charge.wasted]
    parts = [usage for usage in parts if not usage.cached] or parts
    return reduce(add, parts) if parts else None


def used_by_agents(charges: Sequence[Charge]) -> tuple[AgentUsage, ...]:
    """Return what each agent has used for its part of an answer, in the order in which they have begun."""
    names = dict.fromkeys(charge.agent for charge in charges if charge.agent)
    used = ((name, used_by([charge for charge in charges if charge.agent == name])) for name in names)
    return tuple(AgentUsage(name, usage) for name, usage in used if usage is not None)


def rows_of(record: UsageRecord) -> Iterator[tuple[Row, Mapping[str, int]]]:
    """Yield what the record adds to the sums of its day: the answer is a request of the model that ended it."""
    ending = len(record.charges) - 1
    for number, charge in enumerate(record.charges):
        who = record.consumer
        row = Row(charge.provider, charge.model, charge.upstream_model, who.key, who.user)
        yield row, _counters(charge, requests=int(number == ending))


def picodollars(cost: Decimal) -> int:
    """Return an amount as Redis adds it."""
    return int(cost / PICODOLLAR)


def _charge(attempt: Attempt, prices: PriceBook, at: datetime) -> Charge:
    cost = prices.cost(attempt.model, attempt.usage, at)
    is_cached = attempt.usage.cached
    usage = replace(attempt.usage, cost_usd=_NOTHING if is_cached else cost.usd, price_version=cost.version)
    names = (attempt.provider, attempt.model, attempt.upstream_model)
    return Charge(*names, usage, attempt.wasted, cost.usd if is_cached else None, attempt.agent)


def _counters(charge: Charge, *, requests: int) -> dict[str, int]:
    usage, prefix = charge.usage, "wasted_" if charge.wasted else ""
    counters = {"requests": requests}
    if usage.cached:
        counters |= {"cached": 1, "saved_input_tokens": usage.input_tokens, "saved_output_tokens": usage.output_tokens}
        if charge.saved_usd is not None:
            counters |= {"saved_priced": 1, "saved_cost": picodollars(charge.saved_usd)}
    elif charge.wasted:
        counters |= {"wasted_input_tokens": usage.input_tokens, "wasted_output_tokens": usage.output_tokens}
    else:
        counters |= {name: getattr(usage, name) for name in COUNTS}
        counters["estimated"] = int(usage.estimated)
    if usage.cost_usd is None:
        counters["unpriced"] = 1
    else:
        counters |= {"priced": 1, f"{prefix}cost": picodollars(usage.cost_usd)}
    return {name: count for name, count in counters.items() if count or name == "requests"}
