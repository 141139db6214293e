"""The prices of the models of one runtime configuration: those of the resource, else those of the shipped list."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Final, NamedTuple

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.usage.price_list import Entry, PriceList
from chatfleet_api.usage.rates import Rate, Rates, cost_of, most_of
from chatfleet_contract.runtime import RuntimeAgents, RuntimeConfig, canonical
from chatfleet_contract.spec.agents import AGENT, MEMBER_PREFIX, SUPERVISOR
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.pricing import Rates as PricedKinds

_KINDS: Final = (
    *("input", "output", "cache_read", "cache_write", "cache_write_30m", "cache_write_1h", "cache_write_12h"),
    *("reasoning", "audio_input", "audio_output"),
)
_ONE: Final = Decimal(1)
_STANDARD: Final = Usage()
"""Of the usual service tier."""


class Cost(NamedTuple):
    """What an answer costs."""

    usd: Decimal | None
    """None: it is not known."""
    version: str
    """Of the prices; empty: there are none."""


UNKNOWN: Final = Cost(None, "")


class Named(NamedTuple):
    """Who answers a model first: the name of its provider, and that one's own name of the model."""

    provider: str
    upstream_model: str


@dataclass(frozen=True)
class _Priced:
    """One model with prices."""

    version: str
    rates: Callable[[Usage, datetime], Rates | None]
    factors: Mapping[str, Decimal] = field(default_factory=dict)
    """By service tier."""
    regions: Mapping[str, Decimal] = field(default_factory=dict)

    def most(self, input_tokens: int, output_tokens: int, at: datetime) -> Decimal | None:
        """Return the most that an answer may cost, whatever a prompt cache takes, in every service tier and region."""
        rates = self.rates(_STANDARD, at)
        cost = None if rates is None else most_of(input_tokens, output_tokens, rates)
        return None if cost is None else cost * self.highest_factor

    @cached_property
    def highest_factor(self) -> Decimal:
        """Of the dearest service tier and region."""
        return max((_ONE, *self.factors.values())) * max((_ONE, *self.regions.values()))

    def cost(self, usage: Usage, at: datetime) -> Cost:
        factor = self.factors.get(usage.service_tier)
        rates = self.rates(usage, at)
        if rates is None:
            return UNKNOWN
        factor = (_ONE if factor is None else factor) * self.regions.get(usage.region, _ONE)
        return Cost(cost_of(usage, rates, factor), self.version)


class PriceBook:
    """Prices by the name of the model in the catalogue."""

    def __init__(
        self,
        models: Mapping[str, tuple[Named, _Priced | None]],
        fallbacks: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._models = models
        self._fallbacks = fallbacks

    @classmethod
    def of(cls, config: RuntimeConfig) -> "PriceBook":
        """Return the prices of the models of `config`."""
        shipped = PriceList()
        providers = {provider.name: provider for provider in config.providers}
        models: dict[str, tuple[Named, _Priced | None]] = {}
        for model in config.models:
            priced = None
            if model.pricing is not None:
                priced = _of_resource(model.pricing)
            elif (provider := providers.get(model.provider)) and (entry := shipped.find(provider, model.model)):
                priced = _of_list(entry, shipped.version)
            models[model.name] = (Named(model.provider, model.model), priced)
        fallbacks: dict[str, Sequence[str]] = {model.name: model.fallbacks for model in config.models}
        for name, used in _agents(config.agents):
            models[name] = models.get(used[0], (Named("", ""), None))
            fallbacks[name] = [*used[1:], *(each for model in used for each in fallbacks.get(model, ()))]
        return cls(models, fallbacks)

    def named(self, model: str) -> Named:
        """Return who answers a model of the catalogue first."""
        return self._models[model][0] if model in self._models else Named("", "")

    def cost(self, model: str, usage: Usage, at: datetime) -> Cost:
        """Return what an answer of a model of the catalogue costs that ended at `at`, a time with zone UTC."""
        priced = self._models[model][1] if model in self._models else None
        return UNKNOWN if priced is None else priced.cost(usage, at)

    def most(self, model: str, input_tokens: int, output_tokens: int, at: datetime) -> Decimal | None:
        """Return the most that an answer of a model, or of one of its fallbacks, may cost; None: it is not known."""
        most = Decimal(0)
        for name in (model, *self._fallbacks.get(model, ())):
            priced = self._models[name][1] if name in self._models else None
            cost = None if priced is None else priced.most(input_tokens, output_tokens, at)
            if cost is None:
                return None
            most = max(most, cost)
        return most

    def unpriced(self, at: datetime) -> tuple[str, ...]:
        """Return the models of which no answer has a known price, because of a fallback too."""
        return tuple(name for name in self._models if self.most(name, 1, 1, at) is None)


def live_prices(config: Live[RuntimeConfig]) -> Live[PriceBook]:
    """Return the prices of the current configuration, made once for each."""
    made: list[tuple[RuntimeConfig, PriceBook]] = []

    def current() -> PriceBook:
        now = config()
        if not made or made[0][0] is not now:
            made[:] = [(now, PriceBook.of(now))]
        return made[0][1]

    current()  # at the start, and not with the first answer
    return Live(current)


def _agents(agents: RuntimeAgents | None) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each agent as a model of the API, with the models that may answer for it, the first one foremost."""
    if agents is None:
        return
    own = agents.supervisor.model
    yield AGENT, (own, *dict.fromkeys(member.model for member in agents.members))
    yield MEMBER_PREFIX + SUPERVISOR, (own,)
    members = {member.name: member for member in agents.members}
    for member in agents.members:
        reached = {member.name: member.model}
        for name in (open_ := [member.name]):
            new = [each for each in members[name].handoffs if each in members and each not in reached]
            reached |= {each: members[each].model for each in new}
            open_ += new
        yield MEMBER_PREFIX + member.name, tuple(dict.fromkeys(reached.values()))


def _of_list(entry: Entry, version: str) -> _Priced:
    return _Priced(version, lambda usage, at: entry.rates(at, usage.service_tier))


def _of_resource(pricing: Pricing) -> _Priced:
    factors = {each.name: Decimal(each.factor) for each in pricing.service_tiers}
    known = frozenset({"", *factors})
    rates = _rates(pricing)
    digest = hashlib.sha256(canonical(pricing).encode()).hexdigest()[:12]
    return _Priced(
        f"resource {digest}",
        lambda usage, _: rates if usage.service_tier in known else None,
        factors,
        {each.name: Decimal(each.factor) for each in pricing.regions},
    )


def _rates(pricing: Pricing) -> Rates:
    found: dict[str, Rate] = {}
    for kind in _KINDS:
        higher = {tier.above_input_tokens: price for tier in pricing.tiers if (price := _price(tier, kind)) is not None}
        if (base := _price(pricing, kind)) is not None:
            found[kind] = Rate(base, tuple(sorted(higher.items())))
    return found


def _price(rates: PricedKinds, kind: str) -> Decimal | None:
    text = getattr(rates, f"{kind}_per_million_tokens")
    return None if text is None else Decimal(text)
