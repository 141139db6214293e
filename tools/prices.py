"""Writes api/chatfleet_api/usage/prices.json from the pinned release of genai-prices.

`make prices` runs it; `--check` only reports whether the file is stale. The pods read this file and have neither the
package nor its update over the network.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import genai_prices
from genai_prices import types
from genai_prices.data import providers

ROOT: Final = Path(__file__).parents[1]
FILE: Final = Path("api/chatfleet_api/usage/prices.json")
KINDS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
}
"""Prices of tokens, by the names of the package. A model without any of them has no price."""


def text() -> str:
    """Return the file as the package has it: a line for each model, so that an update can be reviewed."""
    tables = [_provider(provider) for provider in providers]
    blocks = []
    for table in tables:
        models = ",\n".join(json.dumps(model, separators=(",", ":")) for model in table.pop("models"))
        head = json.dumps(table, separators=(",", ":"))
        blocks.append(f'{head[:-1]},"models":[\n{models}\n]}}')
    return f'{{"version":"genai-prices {genai_prices.__version__}","providers":[\n' + ",\n".join(blocks) + "\n]}\n"


def _provider(provider: types.Provider) -> dict[str, Any]:
    models = [_model(model) for model in provider.models]
    head = {"id": provider.id, "api": provider.api_pattern, "fallbacks": provider.fallback_model_providers or []}
    return {**head, "models": models}


def _model(model: types.ModelInfo) -> dict[str, Any]:
    prices = model.prices if isinstance(model.prices, list) else [types.ConditionalPrice(prices=model.prices)]
    rows = [row for price in prices if (row := _price(price.prices, price.constraint))["rates"]]
    tiers: dict[str, list[dict[str, Any]]] = {}
    for variant in model.price_variants or ():
        if variant.when.keys() == {"processing"}:
            tiers.setdefault(variant.when["processing"], []).append(_price(variant.prices, variant.constraint))
    return {"id": model.id, "match": _match(model.match), "prices": rows} | ({"tiers": tiers} if tiers else {})


def _price(prices: types.ModelPrice, constraint: object) -> dict[str, Any]:
    row: dict[str, Any] = {"rates": dict(_rates(prices))}
    if isinstance(constraint, types.StartDateConstraint):
        row["since"] = constraint.start_date.isoformat()
    if isinstance(constraint, types.TimeOfDateConstraint):
        row["between"] = [constraint.start_time.isoformat(), constraint.end_time.isoformat()]
    return row


def _rates(prices: types.ModelPrice) -> Iterator[tuple[str, Any]]:
    for name, kind in KINDS.items():
        value = prices.__dict__.get(name)
        if isinstance(value, types.TieredPrices):
            yield kind, {"base": str(value.base), "above": [[tier.start, str(tier.price)] for tier in value.tiers]}
        elif value is not None:
            yield kind, {"base": str(value)}


def _match(clause: Any) -> dict[str, Any]:  # noqa: ANN401  # a union that refers to itself
    match clause:
        case types.ClauseOr():
            return {"or": [_match(each) for each in clause.or_]}
        case types.ClauseAnd():
            return {"and": [_match(each) for each in clause.and_]}
        case _:
            return dict(vars(clause))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is stale")
    if not parser.parse_args().check:
        (ROOT / FILE).write_text(text())
        return 0
    if (ROOT / FILE).read_text() == text():
        return 0
    sys.stderr.write(f"{FILE} is stale; run `make prices`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
