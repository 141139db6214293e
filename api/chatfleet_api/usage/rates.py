"""Prices of the kinds of tokens, and the cost of an answer by them. Pure; decimal arithmetic only.

Amounts are whole picodollars: prices have at most nine digits behind the point, for a million tokens, and what factors
make of them is rounded once, for each answer. So sums are exact in any order, and Redis can add them as integers.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, TypeAlias

import msgspec

from chatfleet_api.domain.events import Usage

PICODOLLAR: Final = Decimal("1e-12")
_MILLION: Final = Decimal(1_000_000)
_NOTHING: Final = Decimal(0)
_INPUTS: Final = ("input", "cache_write", "cache_write_1h")
_BESIDE: Final[Mapping[str, str | None]] = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_30m": "cache_write",
    "cache_write_1h": "cache_write",
    "cache_write_12h": None,
    "audio_input": "input",
    "audio_output": "output",
    "reasoning": "output",
}
"""Whose price a kind of tokens has that has none of its own; None: it is unknown then."""


class Rate(msgspec.Struct, frozen=True):
    """USD for a million tokens of one kind."""

    base: Decimal
    above: tuple[tuple[int, Decimal], ...] = ()
    """Prices of requests with more input tokens, the fewest first."""

    def at(self, input_tokens: int) -> Decimal:
        """Return the price in a request of so many input tokens."""
        price = self.base
        for start, higher in self.above:
            if input_tokens <= start:
                break
            price = higher
        return price


Rates: TypeAlias = Mapping[str, Rate]
"""By kind: input, output, and those of `_BESIDE`."""


def cost_of(usage: Usage, rates: Rates, factor: Decimal = Decimal(1)) -> Decimal | None:
    """Return what the tokens cost, in whole picodollars; None: a price is not known."""
    written = usage.cache_write_30m_tokens + usage.cache_write_1h_tokens + usage.cache_write_12h_tokens
    parts = {
        "cache_read": usage.cache_read_tokens,
        "cache_write": max(0, usage.cache_write_tokens - written),
        "cache_write_30m": usage.cache_write_30m_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "cache_write_12h": usage.cache_write_12h_tokens,
        "audio_input": usage.audio_input_tokens,
    }
    made = {"audio_output": usage.audio_output_tokens}
    if "reasoning" in rates:
        made["reasoning"] = usage.reasoning_tokens
    counts = {
        "input": max(0, usage.input_tokens - sum(parts.values())),
        **parts,
        "output": max(0, usage.output_tokens - sum(made.values())),
        **made,
    }
    total = Decimal(0)
    for kind, count in counts.items():
        if count:
            rate = _rate(rates, kind)
            if rate is None:
                return None
            total += rate.at(usage.input_tokens) * count
    return (total * factor / _MILLION).quantize(PICODOLLAR, ROUND_HALF_EVEN)


def most_of(input_tokens: int, output_tokens: int, rates: Rates) -> Decimal | None:
    """Return the most that tokens may cost, in whole picodollars; None: a price is not known.

    Nothing of the input went into a prompt cache, or all, for minutes or an hour.
    """
    known = [rate.at(input_tokens) for kind in _INPUTS if (rate := _rate(rates, kind)) is not None]
    made = _rate(rates, "output")
    if (input_tokens and not known) or (output_tokens and made is None):
        return None
    total = max(known) * input_tokens if known else _NOTHING
    if made is not None:
        total += made.at(input_tokens) * output_tokens
    return (total / _MILLION).quantize(PICODOLLAR, ROUND_HALF_EVEN)


def _rate(rates: Rates, kind: str | None) -> Rate | None:
    while kind is not None and kind not in rates:
        kind = _BESIDE.get(kind)
    return None if kind is None else rates[kind]
