"""Numbers of tokens, as upstreams report them. Pure."""

from typing import Final

MAX_TOKENS: Final = 2**53
"""Largest count that is accepted. Readers of JSON round larger numbers."""


def accepted(number: int | None) -> int:
    """Return a count, 0 for what is none."""
    return number if number and 0 < number <= MAX_TOKENS else 0
