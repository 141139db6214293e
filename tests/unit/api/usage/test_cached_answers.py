"""An answer from the response cache is a request that cost nothing; what it saved is summed apart."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import pytest

from chatfleet_api.chat.limits import NO_TOKENS, tokens_used
from chatfleet_api.chat.reply import Reply
from chatfleet_api.domain.events import Complete, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.usage.attempts import Attempt
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.record import COUNTERS, UNKNOWN_CONSUMER, UsageRecord, charges_of, rows_of, used_by
from chatfleet_api.usage.report import UsageSums, sums_of
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model

AT: Final = datetime(2026, 1, 2, tzinfo=UTC)
PRICE: Final = Pricing(input_per_million_tokens="1", output_per_million_tokens="2")
FREE: Final = Pricing(input_per_million_tokens="0", output_per_million_tokens="0")
USED: Final = Usage(1000, 500)
CACHED: Final = Usage(1000, 500, cached=True)


def sums(pricing: Pricing | None, *usages: Usage) -> UsageSums:
    """Return the sums of answers that have used so much, one each."""
    provider = RuntimeProvider(name="p", type=ProviderType.OPENAI)
    models = (Model(name="m", provider="p", model="no-such-model", pricing=pricing),)
    prices = PriceBook.of(RuntimeConfig(deployment="d", namespace="n", providers=(provider,), models=models))
    total: Counter[str] = Counter()
    for usage in usages:
        charges = charges_of([Attempt("p", "m", "no-such-model", usage)], prices, AT)
        record = UsageRecord("r", "t", UNKNOWN_CONSUMER, "2026-01-02", "complete", charges)
        for _, counters in rows_of(record):
            assert counters.keys() <= set(COUNTERS)
            total.update(counters)
    return sums_of(total)


def test_its_tokens_and_its_cost_are_in_no_other_sum() -> None:
    found = sums(PRICE, USED, CACHED, CACHED)
    assert (found.requests, found.cached_requests) == (3, 2)
    assert (found.input_tokens, found.output_tokens, found.cost_usd) == (1000, 500, "0.002")
    assert (found.saved_input_tokens, found.saved_output_tokens, found.saved_cost_usd) == (2000, 1000, "0.004")
    assert (found.unpriced, found.wasted_input_tokens) == (0, 0)


@pytest.mark.parametrize(("pricing", "saved"), [(None, None), (FREE, "0"), (PRICE, "0.002")])
def test_what_was_saved_is_unknown_and_not_0_without_a_price(pricing: Pricing | None, saved: str | None) -> None:
    found = sums(pricing, CACHED)
    assert (found.saved_cost_usd, found.cost_usd) == (saved, "0")
    assert sums(pricing).saved_cost_usd == "0"


def test_an_answer_is_cached_only_if_nothing_else_was_used_for_it() -> None:
    provider = RuntimeProvider(name="p", type=ProviderType.OPENAI)
    models = (Model(name="m", provider="p", model="x", pricing=PRICE),)
    prices = PriceBook.of(RuntimeConfig(deployment="d", namespace="n", providers=(provider,), models=models))
    routed, cached = (Attempt("p", "m", "x", usage) for usage in (Usage(10, 1), CACHED))
    alone, both = (used_by(charges_of(attempts, prices, AT)) for attempts in ([cached], [routed, cached]))
    assert alone is not None
    assert (alone.input_tokens, alone.cost_usd, alone.cached) == (1000, Decimal(0), True)
    assert both is not None
    assert (both.input_tokens, both.cached) == (10, False)


def test_it_takes_no_tokens_of_limits_and_budgets() -> None:
    request = ChatRequest("m", (Message("user", "Hi"),))
    used = [tokens_used(request, Reply(lambda: 0.0), Complete("stop", usage)) for usage in (USED, CACHED)]
    assert used == [USED, NO_TOKENS]
