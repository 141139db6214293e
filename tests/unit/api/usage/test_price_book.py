"""Prices of the resource come before those of the list; what has no price is unknown, and never 0."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.usage.price_book import UNKNOWN, Named, PriceBook, live_prices
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.pricing import PriceFactor, PriceTier, Pricing
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
PRICING = Pricing(
    input_per_million_tokens="2",
    output_per_million_tokens="10",
    cache_read_per_million_tokens="0.2",
    cache_write_per_million_tokens="2.5",
    cache_write_1h_per_million_tokens="4",
    audio_input_per_million_tokens="40",
    tiers=[
        PriceTier(above_input_tokens=2000, input_per_million_tokens="8", output_per_million_tokens="9"),
        PriceTier(above_input_tokens=1000, input_per_million_tokens="4", output_per_million_tokens="20"),
    ],
    service_tiers=[PriceFactor(name="flex", factor="0.5")],
    regions=[PriceFactor(name="us", factor="1.1")],
)


def book(pricing: Pricing | None, model: str = "no-such-model") -> PriceBook:
    provider = RuntimeProvider(name="p", type=ProviderType.OPENAI)
    models = (Model(name="m", provider="p", model=model, pricing=pricing),)
    return PriceBook.of(RuntimeConfig(deployment="d", namespace="n", providers=(provider,), models=models))


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(100, 10), "0.0003"),
        (Usage(100, 10, cache_read_tokens=50), "0.00021"),
        (Usage(100, 0, cache_write_tokens=100, cache_write_1h_tokens=40), "0.00031"),
        (Usage(100, 0, cache_write_tokens=100, cache_write_30m_tokens=40), "0.00025"),
        (Usage(100, 0, cache_write_tokens=100, cache_write_12h_tokens=40), None),
        (Usage(100, 10, 10), "0.0003"),
        (Usage(100, 0, audio_input_tokens=100), "0.004"),
        (Usage(1000, 10), "0.0021"),
        (Usage(1001, 10), "0.004204"),
        (Usage(3000, 10), "0.02409"),
        (Usage(100, 10, service_tier="flex"), "0.00015"),
        (Usage(100, 10, service_tier="priority"), None),
        (Usage(100, 10, region="us"), "0.00033"),
        (Usage(100, 10, region="eu"), "0.0003"),
        (Usage(), "0"),
    ],
)
def test_each_kind_of_tokens_has_its_price(usage: Usage, usd: str | None) -> None:
    cost = book(PRICING).cost("m", usage, NOON)
    assert cost.usd == (None if usd is None else Decimal(usd))
    assert usd is None or cost.version.startswith("resource ")


def test_a_cost_is_rounded_once_to_the_picodollar() -> None:
    third = Pricing(
        input_per_million_tokens="0.333333333",
        output_per_million_tokens="0",
        service_tiers=[PriceFactor(name="flex", factor="0.333333")],
    )
    assert book(third).cost("m", Usage(1, service_tier="flex"), NOON).usd == Decimal("0.000000111111")


def test_a_model_of_the_list_has_its_price_and_another_has_none() -> None:
    known = book(None, "gpt-4").cost("m", Usage(25, 50), NOON)
    assert known.usd == Decimal("0.00375")
    assert known.version.startswith("genai-prices ")
    assert book(None).cost("m", Usage(25, 50), NOON) == UNKNOWN
    assert book(None).cost("gone", Usage(25, 50), NOON) == UNKNOWN
    assert (book(None).named("m"), book(None).named("gone")) == (Named("p", "no-such-model"), Named("", ""))


def test_another_price_has_another_version_and_applies_with_its_configuration() -> None:
    config = RuntimeConfig(
        deployment="d",
        namespace="n",
        providers=(RuntimeProvider(name="p", type=ProviderType.SCRIPTED),),
        models=(Model(name="m", provider="p", model="echo", pricing=PRICING),),
    )
    current = [config]
    prices = live_prices(Live(lambda: current[0]))
    before = prices()
    assert prices() is before
    dearer = PRICING.model_copy(update={"input_per_million_tokens": "3"})
    current[0] = config.model_copy(update={"models": (config.models[0].model_copy(update={"pricing": dearer}),)})
    first, second = (each.cost("m", Usage(100), NOON) for each in (before, prices()))
    assert (first.usd, second.usd) == (Decimal("0.0002"), Decimal("0.0003"))
    assert first.version != second.version
