"""The shipped price list gives what genai-prices gives, for every model of it."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import genai_prices
import pytest
from genai_prices import types
from genai_prices.data import providers

from chatfleet_api.domain.events import Usage
from chatfleet_api.usage.price_list import PriceList, normalized
from chatfleet_api.usage.rates import PICODOLLAR, cost_of
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType

ROOT = Path(__file__).parents[4]
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
LIST = PriceList()
USAGES = (
    Usage(25, 50),
    Usage(1_000_003, 777, 300, 12_345, 54_321, cache_write_1h_tokens=4_321),
    Usage(150_000, 1, cache_read_tokens=149_999),
)
KNOWN = {"openai": ProviderType.OPENAI, "anthropic": ProviderType.ANTHROPIC, "aws": ProviderType.BEDROCK}
OUT_OF_SCOPE = ("requests", "image", "video", "hours", "pages", "chars", "citation", "messages")


def expected(model: types.ModelInfo, provider: types.Provider, usage: Usage, at: datetime = NOON) -> Decimal:
    theirs = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )
    found = model.calc_price(theirs, provider, genai_request_timestamp=at)
    return found.total_price.quantize(PICODOLLAR)


@pytest.mark.feature(42)
@pytest.mark.parametrize("provider", [each for each in providers if each.id in KNOWN], ids=lambda each: each.id)
def test_every_model_of_a_vendor_costs_to_the_last_digit_what_the_package_has(provider: types.Provider) -> None:
    compared = 0
    for model in provider.models:
        prices = model.get_prices(NOON)
        entry = LIST.find(RuntimeProvider(name="p", type=KNOWN[provider.id]), model.id)
        if provider.find_model(model.id) is not model or any(word in str(vars(prices)) for word in OUT_OF_SCOPE):
            continue
        assert entry is not None, model.id
        assert entry.id == model.id
        rates = entry.rates(NOON) or {}
        if not {"input", "output"} <= rates.keys():
            continue
        for usage in USAGES:
            assert cost_of(usage, rates) == expected(model, provider, usage), (model.id, usage)
        compared += 1
    assert compared > 15


def test_the_prices_of_a_day_and_of_an_hour_are_those_of_the_package() -> None:
    [deepseek] = [each for each in providers if each.id == "deepseek"]
    provider = RuntimeProvider(
        name="p",
        type=ProviderType.OPENAI_COMPATIBLE,
        base_url="https://api.deepseek.com/v1",
    )
    changing = [model for model in deepseek.models if isinstance(model.prices, list)]
    times = [datetime(year, 6, 5, hour, 1, tzinfo=UTC) for year in (2024, 2025, 2026) for hour in range(0, 24, 3)]
    for model in changing:
        entry = LIST.find(provider, model.id)
        assert entry is not None
        for at in times:
            rates = entry.rates(at)
            assert rates is not None
            assert cost_of(USAGES[0], rates) == expected(model, deepseek, USAGES[0], at)
    assert changing


def test_the_batch_tier_has_its_prices_and_a_tier_without_prices_has_none() -> None:
    entry = LIST.find(RuntimeProvider(name="p", type=ProviderType.ANTHROPIC), "claude-fable-5")
    assert entry is not None
    usual, batch = entry.rates(NOON), entry.rates(NOON, "batch")
    assert usual is not None
    assert batch is not None
    assert batch["input"].base * 2 == usual["input"].base
    assert entry.rates(NOON, "flex") is None


@pytest.mark.parametrize(
    ("kind", "url", "model", "found"),
    [
        (ProviderType.OPENAI, None, "gpt-4", "gpt-4"),
        (ProviderType.OPENAI, None, "openai/gpt-4", "gpt-4"),
        (ProviderType.OPENAI, None, "GPT-4", "gpt-4"),
        (ProviderType.OPENAI, "http://vllm.shop.svc/v1", "gpt-4", None),
        (ProviderType.AZURE_OPENAI, "https://x.openai.azure.com", "gpt-4", "gpt-4"),
        (ProviderType.OPENAI_COMPATIBLE, "http://vllm.shop.svc/v1", "gpt-4", None),
        (ProviderType.OPENAI_COMPATIBLE, "https://api.openai.com/v1", "gpt-4", "gpt-4"),
        (ProviderType.BEDROCK, None, "amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        (ProviderType.OPENAI, None, "a-model-that-nobody-has", None),
        (ProviderType.SCRIPTED, None, "gpt-4", None),
    ],
)
def test_a_model_is_looked_up_by_its_vendor_under_its_usual_names(
    kind: ProviderType, url: str | None, model: str, found: str | None
) -> None:
    entry = LIST.find(RuntimeProvider(name="p", type=kind, base_url=url), model)
    assert (entry.id if entry else None) == found


def test_names_lose_their_prefix_and_their_date_only_when_needed() -> None:
    assert list(normalized("openai/gpt-5-20250807")) == [
        "openai/gpt-5-20250807",
        "openai/gpt-5-2025-08-07",
        "openai/gpt-5",
        "gpt-5-20250807",
        "gpt-5-2025-08-07",
        "gpt-5",
    ]
    assert list(normalized("claude-x-latest"))[-1] == "claude-x"


def test_the_file_is_that_of_the_pinned_package() -> None:
    subprocess.run([sys.executable, "tools/prices.py", "--check"], cwd=ROOT, check=True)
    assert LIST.version == f"genai-prices {genai_prices.__version__}"
