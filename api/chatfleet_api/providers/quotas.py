"""The quotas of all models that a pod serves, and the fleet that they are shared with."""

from collections.abc import Callable, Collection

from chatfleet_api.providers.policies.instrumented import Meter
from chatfleet_api.providers.policies.quota import Alone, Fleet, Quota, Scope


class Quotas:
    """One `Quota` for each model of each provider, as long as it is in the catalogue."""

    def __init__(self, meter: Meter, clock: Callable[[], float]) -> None:
        self._meter = meter
        self._clock = clock
        self._quotas: dict[Scope, Quota] = {}
        self.fleet: Fleet = Alone()
        """The other pods, once there is a way to them."""

    def of(self, scope: Scope) -> Quota:
        """Return the quota of a model."""
        found = self._quotas.get(scope)
        if found is None:
            found = self._quotas[scope] = Quota(
                scope, lambda: self.fleet, on_pause=lambda: self._meter.paused(*scope), clock=self._clock
            )
        return found

    def find(self, scope: Scope) -> Quota | None:
        """Return the quota of a model that this pod serves."""
        return self._quotas.get(scope)

    def keep(self, scopes: Collection[Scope]) -> None:
        """Forget the quotas of all other models."""
        for scope in self._quotas.keys() - set(scopes):
            del self._quotas[scope]
