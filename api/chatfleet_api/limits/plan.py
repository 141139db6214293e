"""From `spec.limits` to what one request takes of each meter that applies. Pure.

These meters are a tenant's own, those of its keys, users and models too.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias, TypeVar

from msgspec.structs import astuple

from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.quota import Demand, Unit, quoted
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Limit

MINUTE: Final = 60_000_000
"""Microseconds."""
MOST_KNOWN: Final = 1_000
"""Kinds of requests, by key, user and model, of which a plan knows what applies to them."""

Cost: TypeAlias = Callable[[], int]
"""Returns the tokens that a request may use: counted only where tokens are limited."""


class _Meter(NamedTuple):
    unit: Unit
    limit: int
    interval: float
    name: str
    """After the scope: with its rate. A new rate is a new meter, which is full: debts of a lower one would hold callers
    back for minutes."""


class _Applying(NamedTuple):
    """What applies to requests that are alike."""

    demands: tuple[Demand, ...]
    """As one token costs."""
    tokens: tuple[int, ...]
    """Numbers of those whose cost is the tokens of a request."""


class Plan:
    """The limits of one configuration."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.idle = limits.unlimited
        """Whether no request takes anything."""
        self.budgeted = limits.budget is not None or limits.budgets is not None
        """Whether a budget may apply."""
        self._tenant, self._key, self._user = map(_meters, (limits.per_tenant, limits.per_key, limits.per_user))
        self._models = {limit.model: _meters(limit) for limit in limits.models}
        self._known: dict[tuple[str | None, str | None, str], _Applying] = {}

    def demands(self, principal: Principal, model: str, tokens: Cost) -> tuple[Demand, ...]:
        """Return what a request of `principal` to `model` takes, none when nothing limits it."""
        alike = (principal.subject, principal.user, model)
        found = self._known.get(alike)
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[alike] = self._applying(principal, model)
        if not found.tokens:
            return found.demands
        counted = max(tokens(), 1)
        demands = list(found.demands)
        for number in found.tokens:
            meter, unit, limit, interval, _ = astuple(demands[number])
            # a larger request passes alone, and pays the rest at its end
            demands[number] = Demand(meter, unit, limit, interval, min(counted, limit))
        return tuple(demands)

    def _applying(self, principal: Principal, model: str) -> _Applying:
        applying = scopes(principal, self._tenant, self._key, self._user)
        if of_model := self._models.get(model):
            applying.append((f"model:{quoted(model)}", of_model))
        demands = tuple(
            Demand(scope + name, unit, limit, interval, 1)
            for scope, meters in applying
            for unit, limit, interval, name in meters
        )
        return _Applying(demands, tuple(number for number, each in enumerate(demands) if each.unit == "tokens"))


_T = TypeVar("_T")


def scopes(principal: Principal, tenant: _T | None, key: _T | None, user: _T | None) -> list[tuple[str, _T]]:
    """Return what applies to a caller, with the beginning of the names of its meters."""
    found: list[tuple[str, _T]] = []
    if tenant:
        found.append(("tenant", tenant))
    if key and principal.subject is not None:
        found.append((f"key:{quoted(principal.subject)}", key))
    if user and principal.user is not None:
        found.append((f"user:{quoted(principal.user)}", user))
    return found


def _meters(limit: Limit | None) -> tuple[_Meter, ...]:
    if limit is None:
        return ()
    burst, meters = limit.burst, []
    if (requests := limit.requests_per_minute) is not None:
        meters.append(
            _Meter("requests", (burst and burst.requests) or requests, MINUTE / requests, f":requests:{requests}")
        )
    if (tokens := limit.tokens_per_minute) is not None:
        meters.append(_Meter("tokens", (burst and burst.tokens) or tokens, MINUTE / tokens, f":tokens:{tokens}"))
    if (streams := limit.concurrent_streams) is not None:
        meters.append(_Meter("streams", streams, 0.0, ":streams"))
    return tuple(meters)


def shared(demands: tuple[Demand, ...], pods: int) -> tuple[Demand, ...]:
    """Return the demands on one of `pods` that each allow an equal share, at least one at a time."""
    return tuple(
        Demand(
            each.meter,
            each.unit,
            limit := max(each.limit // pods, 1),
            each.interval * pods,
            min(each.cost, limit),
        )
        for each in demands
    )
