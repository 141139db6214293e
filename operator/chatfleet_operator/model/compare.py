"""Whether a live object holds what we want: a subset test that knows how Kubernetes rewrites what it stores.

Fields that we do not set belong to others and are not compared; the exceptions are in `put_back`.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from chatfleet_operator.model.put_back import ATOMIC_MAPS

ListKeys: TypeAlias = Mapping[str, tuple[str, ...]]
"""By field: the keys of the items of a list that is a map. Every other list is atomic: it is ours as a whole."""

METADATA_LIST_KEYS: Final[ListKeys] = {"ownerReferences": ("uid",)}

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
    """Return the number that `text` is as a Kubernetes quantity; None: it is none."""
    number = text.rstrip("KMGTPEikmnu")
    try:
        return Decimal(number) * _SUFFIXES[text[len(number) :]]
    except (InvalidOperation, KeyError):
        return None


def contains(live: object, desired: object, list_keys: ListKeys = METADATA_LIST_KEYS, *, parent: str = "") -> bool:
    """Whether `live` holds all of `desired`; empty and absent are the same. `parent` is the enclosing field."""
    if _is_empty(desired):
        return live is None or live == desired or _is_empty(live)
    if isinstance(desired, dict):
        whole = parent in ATOMIC_MAPS
        return _map_contains(live, desired, list_keys, parent) and (
            not whole or _map_contains(desired, live, list_keys, parent)
        )
    if isinstance(desired, list):
        return isinstance(live, list) and _list_contains(live, desired, list_keys, parent)
    if parent in QUANTITIES:
        wanted = quantity(str(desired))
        return live == desired or (wanted is not None and quantity(str(live)) == wanted)
    return type(live) is type(desired) and live == desired


def _map_contains(live: object, desired: object, list_keys: ListKeys, parent: str) -> bool:
    if not isinstance(live, dict) or not isinstance(desired, dict):
        return False
    return all(contains(live.get(key), value, list_keys, parent=_field(parent, key)) for key, value in desired.items())


def _field(parent: str, key: str) -> str:
    return parent if parent in QUANTITIES else key


def _is_empty(value: object) -> bool:
    return value is None or value in ({}, [], "")


def _list_contains(live: list[Any], desired: list[Any], list_keys: ListKeys, field: str) -> bool:
    """Compare by key where the list is a map, else item by item."""
    if keys := list_keys.get(field):
        found = {item_key(item, keys): item for item in live if isinstance(item, dict)}
        return all(contains(found.get(item_key(item, keys)), item, list_keys) for item in desired)
    return len(live) == len(desired) and all(contains(*pair, list_keys) for pair in zip(live, desired, strict=True))


def item_key(item: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(item.get(key) for key in keys)
