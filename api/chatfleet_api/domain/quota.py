"""What a caller may use: what is left of it, and what a request holds of it until its answer has ended."""

from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

import msgspec

Unit: TypeAlias = Literal["requests", "tokens", "streams", "usd", "daily"]
"""The last two are budgets: billionths of a US dollar of a day or a month, and tokens of a day."""
FLEET: Final = "deployment"
"""The scope of a meter that all tenants share."""
BUDGETS: Final = frozenset({"usd", "daily"})


_OF_FLEET: Final = f"{FLEET}:"


@lru_cache(maxsize=4096)
def quoted(name: str) -> str:
    """Return a name as it is part of the names of meters: without a character that means something in them."""
    return quote(name, safe="")


def qualified(tenant: str, meter: str) -> str:
    """Return a meter with the tenant before it, if it is one of a tenant."""
    return f"/limit:{meter}" if meter.startswith(_OF_FLEET) else f"{quoted(tenant)}/limit:{meter}"


class Allowance(NamedTuple):
    """What is left of one limit."""

    limit: int
    """Most at once, after a pause."""
    remaining: int
    reset_seconds: float
    """Until all of it is there again."""


class Quota(NamedTuple):
    """What is left to a caller, of the limit that has least; None: it is not limited."""

    requests: Allowance | None = None
    tokens: Allowance | None = None


class Demand(msgspec.Struct, frozen=True, array_like=True):
    """What a request takes of one meter."""

    meter: str
    """Scope, unit and rate or period: a name within a tenant, or the ChatDeployment where the scope is `FLEET`."""
    unit: Unit
    limit: int
    """Most at once."""
    interval: float
    """Microseconds in which one comes back; 0: it comes back when the answer has ended. Of a budget: until all does."""
    cost: int


class Held(msgspec.Struct, frozen=True):
    """What one answer holds, from before its run begins until it has ended, whichever pod has it."""

    lease: str
    """A name that no other request has."""
    demands: tuple[Demand, ...]
    local: bool = False
    """Whether this pod alone decided, because Redis was unreachable."""
