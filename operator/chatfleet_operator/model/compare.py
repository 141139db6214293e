"""Does a live object still say what we asked for? A subset test that knows how Kubernetes rewrites what it stores.

Fields that we do not ask for belong to others and are not looked at.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

LIST_KEYS = ("uid", "mountPath", "topologyKey", "name")
"""Fields by which lists of objects are told apart, as far as our manifests hold such lists; the first that all have."""

QUANTITIES = frozenset({"requests", "limits", "averageValue", "tolerance"})
"""Fields that hold quantities, or maps of them; the API server rewrites 1000m as 1 there."""

_SUFFIXES = {
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
    **{letter: Decimal(1000) ** power for power, letter in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
}


def quantity(text: str) -> Decimal | None:
    """Return the number that `text` stands for in Kubernetes' notation of quantities; None: it is none."""
    number = text.rstrip("KMGTPEikmnu")
    try:
        return Decimal(number) * _SUFFIXES[text[len(number) :]]
    except (InvalidOperation, KeyError):
        return None


def contains(live: object, desired: object, parent: str = "") -> bool:
    """Say whether `live` holds all of `desired`; empty and absent are the same. `parent` is the enclosing field."""
    if _is_empty(desired):
        return live is None or live == desired or _is_empty(live)
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            contains(live.get(key), value, _field(parent, key)) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return isinstance(live, list) and _list_contains(live, desired)
    if parent in QUANTITIES:
        wanted = quantity(str(desired))
        return live == desired or (wanted is not None and quantity(str(live)) == wanted)
    return type(live) is type(desired) and live == desired


def _field(parent: str, key: str) -> str:
    return parent if parent in QUANTITIES else key


def _is_empty(value: object) -> bool:
    return value is None or value in ({}, [], "")


def _list_contains(live: list[Any], desired: list[Any]) -> bool:
    """Compare by key where the list is a map in disguise, else item by item: such a list is ours as a whole."""
    for key in LIST_KEYS:
        if all(isinstance(item, dict) and key in item for item in desired):
            found = {item.get(key): item for item in live if isinstance(item, dict)}
            return all(contains(found.get(item[key]), item) for item in desired)
    return len(live) == len(desired) and all(contains(*pair) for pair in zip(live, desired, strict=True))
