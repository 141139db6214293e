"""What all providers of a pod share; clocks and randomness are injected here."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.policies.instrumented import Meter


class Environment(NamedTuple):
    connections: ConnectionPool
    meter: Meter
    clock: Callable[[], float]
    """Monotonic seconds."""
    rand: Callable[[], float]
    """Returns a number from 0 to 1."""
    recheck: Callable[[], None] = lambda: None
    """Requests a check of the upstreams, because what is known of them may be out of date."""
    environ: Mapping[str, str] = MappingProxyType({})
    """Variables in which a cloud's own tools leave credentials."""
    wall_clock: Callable[[], float] = time.time
    """Unix seconds, for signatures and expiry dates."""
