"""The vendors' words for the tier and the place that answered, as far as they change the price. Pure."""

from typing import Final

_USUAL: Final = frozenset({"default", "standard", "auto", "standard_only", "on_demand", "global", "not_available"})
"""Words for what costs as the price list has it."""
_LONGEST: Final = 32


def tier_of(word: object) -> str:
    """Return the name of a service tier, in lower case; nothing for the usual one, or for what is no name."""
    if not isinstance(word, str) or not word.isascii() or len(word) > _LONGEST:
        return ""
    name = word.lower()
    return name if name not in _USUAL and name.replace("_", "").replace("-", "").isalnum() else ""


region_of = tier_of
"""Returns the name of a region likewise."""
