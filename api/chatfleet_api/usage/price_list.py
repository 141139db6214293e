"""The shipped price list, and which of its entries a model has. Pure, but for reading the file.

The file is the data of a pinned release of genai-prices (`tools/prices.py`). It is read when a configuration is loaded,
and only the prices of the configured models are kept.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time
from importlib.resources import files
from typing import Final

import msgspec

from chatfleet_api.usage.rates import Rate, Rates
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType

_IDS: Final = {
    ProviderType.OPENAI: "openai",
    ProviderType.AZURE_OPENAI: "azure",
    ProviderType.ANTHROPIC: "anthropic",
    ProviderType.BEDROCK: "aws",
}
_VENDORS_OWN: Final = frozenset({ProviderType.BEDROCK, ProviderType.AZURE_OPENAI})
"""Types whose upstream is the vendor, whatever its URL."""
_COMPACT_DATE: Final = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])([0-2]\d|3[01])(?=-|:|$)")
_SUFFIX: Final = re.compile(r"([-@](20\d\d)-?(0[1-9]|1[0-2])-?([0-2]\d|3[01])|-latest)$")


class Price(msgspec.Struct, frozen=True):
    """Prices that hold from a day on, or for some hours of each day."""

    rates: dict[str, Rate]
    since: date | None = None
    between: tuple[time, time] | None = None

    def holds(self, at: datetime) -> bool:
        """Return whether the prices hold at this time, which has zone UTC."""
        if self.since is not None and at.date() < self.since:
            return False
        if self.between is None:
            return True
        begin, end = (limit.replace(tzinfo=None) for limit in self.between)
        now = at.time()
        return begin <= now < end if begin <= end else now >= begin or now < end


class Entry(msgspec.Struct, frozen=True):
    """A model of the list."""

    id: str
    match: dict[str, msgspec.Raw]
    prices: tuple[Price, ...] = ()
    tiers: dict[str, tuple[Price, ...]] = {}

    def rates(self, at: datetime, tier: str = "") -> Rates | None:
        """Return the prices at a time; None: they are not known. `tier` names a service tier, empty: the usual one."""
        standard = next((price.rates for price in reversed(self.prices) if price.holds(at)), None)
        if standard is None:
            standard = self.prices[0].rates if self.prices else None
        if not tier or standard is None:
            return standard or None
        changed = next((price.rates for price in self.tiers.get(tier, ()) if price.holds(at)), None)
        return None if changed is None else {**standard, **changed}


class _Vendor(msgspec.Struct, frozen=True):
    id: str
    api: str
    fallbacks: tuple[str, ...]
    models: msgspec.Raw
    """Entries, which are decoded for the vendors of the configuration alone: a fifth of the time, and of the memory."""


class _File(msgspec.Struct, frozen=True):
    version: str
    providers: tuple[_Vendor, ...]


_file: Final = msgspec.json.Decoder(_File)
_entries: Final = msgspec.json.Decoder(tuple[Entry, ...])
_clause: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_clauses: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_text: Final = msgspec.json.Decoder(str)


class PriceList:
    """The list as it was shipped."""

    def __init__(self) -> None:
        found = _file.decode(files("chatfleet_api.usage").joinpath("prices.json").read_bytes())
        self.version = found.version
        self._vendors = {vendor.id: vendor for vendor in found.providers}
        self._entries: dict[str, tuple[Entry, ...]] = {}

    def find(self, provider: RuntimeProvider, model: str) -> Entry | None:
        """Return the entry of a model by its provider's name of it; None: there is none."""
        vendor = self._vendor(provider)
        if vendor is None:
            return None
        chain = [vendor, *(self._vendors[name] for name in vendor.fallbacks if name in self._vendors)]
        found = (self._find(each, name) for name in normalized(model) for each in chain)
        return next((entry for entry in found if entry is not None), None)

    def _find(self, vendor: _Vendor, name: str) -> Entry | None:
        if vendor.id not in self._entries:
            self._entries[vendor.id] = _entries.decode(vendor.models)
        return next((entry for entry in self._entries[vendor.id] if _matches(entry.match, name)), None)

    def _vendor(self, provider: RuntimeProvider) -> _Vendor | None:
        named = _IDS.get(provider.type)
        if named and (provider.base_url is None or provider.type in _VENDORS_OWN):
            return self._vendors[named]
        if provider.base_url is None:
            return None
        return next((each for each in self._vendors.values() if re.match(each.api, provider.base_url)), None)


def normalized(model: str) -> Iterator[str]:
    """Yield the names under which a list may have a model, the most exact first."""
    name = model.lower()
    seen = dict.fromkeys((name, _COMPACT_DATE.sub(r"-\1-\2-\3", name)))
    for short in (name, name.rpartition("/")[2]):
        seen |= dict.fromkeys((short, _COMPACT_DATE.sub(r"-\1-\2-\3", short), _SUFFIX.sub("", short)))
    yield from seen


def _matches(clause: dict[str, msgspec.Raw], name: str) -> bool:
    [(kind, raw)] = clause.items()
    if kind in ("or", "and"):
        return (any if kind == "or" else all)(_matches(each, name) for each in _clauses.decode(raw))
    text = _text.decode(raw)
    match kind:
        case "equals":
            return name == text.lower()
        case "starts_with":
            return name.startswith(text.lower())
        case "ends_with":
            return name.endswith(text.lower())
        case "contains":
            return text.lower() in name
        case _:
            return re.search(text, name) is not None
