"""Filters and groups of the sums, and their rows as JSON and CSV have them. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from chatfleet_api.usage.ledger import Sums
from chatfleet_api.usage.rates import PICODOLLAR
from chatfleet_api.usage.record import Row

DIMENSIONS: Final = ("day", "provider", "model", "upstream_model", "key", "user")
"""What sums can be grouped and filtered by."""


class UsageSums(msgspec.Struct, frozen=True):
    """Sums of some answers. Costs are in USD; null: no price is known of any of them."""

    requests: int
    estimated_requests: int
    """Of them, those whose provider's own numbers never came."""
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_30m_tokens: int
    cache_write_1h_tokens: int
    cache_write_12h_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    cost_usd: str | None
    unpriced: int
    """Attempts whose cost is not known, and is in no sum."""
    wasted_input_tokens: int
    """Of attempts that a provider accepted and that are part of no answer, and so below; not in the sums above."""
    wasted_output_tokens: int
    wasted_cost_usd: str | None
    cached_requests: int
    """Of the requests, those that the response cache answered. What that saved, below, is not in the sums above."""
    saved_input_tokens: int
    saved_output_tokens: int
    saved_cost_usd: str | None


class Group(NamedTuple):
    """Sums of the answers that have the same values."""

    values: Mapping[str, str]
    """By dimension."""
    sums: UsageSums


def grouped(
    days: Mapping[str, Sums], group_by: Sequence[str] = (), filters: Mapping[str, str] | None = None
) -> list[Group]:
    """Return the sums of `days` by `group_by`, of the rows whose dimensions have the values of `filters`, in order."""
    found: dict[tuple[str, ...], Counter[str]] = {}
    for day, sums in days.items():
        for row, counters in sums.items():
            values = _values(day, row)
            if all(values[name] == value for name, value in (filters or {}).items()):
                key = tuple(values[name] for name in group_by)
                found.setdefault(key, Counter()).update(counters)
    return [Group(dict(zip(group_by, key, strict=True)), sums_of(found[key])) for key in sorted(found)]


def sums_of(counters: Mapping[str, int]) -> UsageSums:
    """Return counters of the ledger as clients get them."""
    counted = {name: counters.get(name, 0) for name in UsageSums.__struct_fields__}
    costs = {
        "cost_usd": _cost(counters, "cost"),
        "wasted_cost_usd": _cost(counters, "wasted_cost"),
        "estimated_requests": counters.get("estimated", 0),
        "cached_requests": counters.get("cached", 0),
        "saved_cost_usd": _saved(counters),
    }
    return msgspec.convert(counted | costs, UsageSums)


def _cost(counters: Mapping[str, int], name: str) -> str | None:
    is_known = counters.get("priced", 0) or not counters.get("unpriced", 0)
    return _usd(counters, name) if is_known else None


def _saved(counters: Mapping[str, int]) -> str | None:
    is_known = counters.get("saved_priced", 0) or not counters.get("cached", 0)
    return _usd(counters, "saved_cost") if is_known else None


def _usd(counters: Mapping[str, int], name: str) -> str:
    return f"{(counters.get(name, 0) * PICODOLLAR).normalize():f}"


def _values(day: str, row: Row) -> dict[str, str]:
    return {"day": day, **row._asdict()}
