"""Metrics by tenant and by API key: the most used ones have a series of their own. No tenant may read those of others.

They are in a registry of their own, which only the health port exports.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import nlargest
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.principal import Principal
from chatfleet_contract import metrics as names
from chatfleet_contract.metrics import METRICS

MOST_TENANTS: Final = 20
"""Tenants with series of their own."""
MOST_KEYS: Final = 30
"""API keys with a series: those that were used last."""
OTHER: Final = "other"
"""The label of all other tenants."""
FADING: Final = 10_000
"""Uses after which all earlier ones count half."""
LEAD: Final = 2.0
"""A tenant gets the series of another one when it has so many times its use: two that are close do not alternate."""


class KeyUse(NamedTuple):
    """An API key, and when it was last used."""

    tenant: str
    name: str
    at: datetime


class TopLabels:
    """Which values of a label have a series of their own: the most used ones lately."""

    def __init__(self, most: int, on_leave: Callable[[str], None]) -> None:
        """Call `on_leave` with a value that has lost its series."""
        self._most = most
        self._on_leave = on_leave
        self._uses: dict[str, float] = {}
        self._own: set[str] = set()
        self._until_fading = FADING

    def __len__(self) -> int:
        """Return the number of values that are counted."""
        return len(self._uses)

    def label(self, value: str) -> str:
        """Count a use of `value`, and return its label: itself, or `OTHER`."""
        self._until_fading -= 1
        if not self._until_fading:
            self._fade()
        uses = self._uses[value] = self._uses.get(value, 0.0) + 1
        if value in self._own:
            return value
        if len(self._own) >= self._most:
            least = min(self._own, key=self._uses.__getitem__)
            if uses < LEAD * self._uses[least]:
                return OTHER
            self._own.remove(least)
            self._on_leave(least)
        self._own.add(value)
        return value

    def _fade(self) -> None:
        self._until_fading = FADING
        faded = {value: uses / 2 for value, uses in self._uses.items()}
        self._uses = {value: uses for value, uses in faded.items() if uses >= 1 or value in self._own}


class TenantMetrics:
    """Counts by tenant. A series that is lost begins anew at 0 when its tenant is among the most used again."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(*METRICS[names.TENANT_REQUESTS_TOTAL].arguments, registry=self.registry)
        self._tokens = Counter(*METRICS[names.TENANT_TOKENS_TOTAL].arguments, registry=self.registry)
        self._labels = TopLabels(MOST_TENANTS, self._forget)

    def asked(self, tenant: str) -> None:
        """Count a request of a verified caller."""
        self._requests.labels(self._labels.label(tenant)).inc()

    def used(self, tenant: str, usage: Usage) -> None:
        """Count the tokens of an answer."""
        label = self._labels.label(tenant)
        self._tokens.labels(label, "input").inc(usage.input_tokens)
        self._tokens.labels(label, "output").inc(usage.output_tokens)

    def keys(self, used: Callable[[], Iterator[KeyUse]]) -> None:
        """Export when API keys were last used, which each scrape reads from another thread."""
        self.registry.register(_LastUsed(used))

    def _forget(self, tenant: str) -> None:
        self._requests.remove_by_labels({"tenant": tenant})
        self._tokens.remove_by_labels({"tenant": tenant})


def key_uses(principals: Sequence[Principal]) -> Iterator[KeyUse]:
    """Yield the API keys that were used since they are known to this pod."""
    for principal in principals:
        if principal.grant is not None and principal.grant.used is not None:
            yield KeyUse(principal.tenant, (principal.subject or "").removeprefix("key:"), principal.grant.used)


class _LastUsed(Collector):
    """When API keys were last used."""

    def __init__(self, used: Callable[[], Iterator[KeyUse]]) -> None:
        self._used = used

    @override
    def collect(self) -> Iterator[GaugeMetricFamily]:
        row = METRICS[names.API_KEY_LAST_USED]
        family = GaugeMetricFamily(row.name, row.help, labels=row.labels)
        for use in newest(self._used()):
            family.add_metric([use.tenant, use.name], use.at.timestamp())
        yield family


def newest(uses: Iterator[KeyUse]) -> list[KeyUse]:
    """Return the keys that were used last, each once: two Secrets may have one of the same name and tenant."""
    latest: Mapping[tuple[str, str], KeyUse] = {
        (use.tenant, use.name): use for use in sorted(uses, key=lambda use: use.at)
    }
    return nlargest(MOST_KEYS, latest.values(), key=lambda use: use.at)
