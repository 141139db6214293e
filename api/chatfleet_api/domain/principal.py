"""Who a request comes from: passed from the web to the application services, whose stores keep its tenant in keys."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. Nothing of one tenant is visible to another."""

    tenant: str = "default"
    """Part of every key of a store."""
    subject: str | None = None
    """Whom the caller's credential names; None: the caller showed none."""


ANONYMOUS: Final = Principal()
"""Every caller, until identities are configured."""
