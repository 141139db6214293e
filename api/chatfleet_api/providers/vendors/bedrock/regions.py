"""Domains of AWS by region. Pure."""

from typing import Final

_DOMAINS: Final = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
)
"""Of the partitions that have one of their own."""


def domain(region: str) -> str:
    """Return the domain of the services in `region`."""
    return next((name for prefix, name in _DOMAINS if region.startswith(prefix)), "amazonaws.com")
