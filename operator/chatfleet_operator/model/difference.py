"""Where a live object differs from what we want, and which field manager has made it so. Pure.

Paths are those of `managedFields`: `f:` and the name of a field, `k:` and the keys of a list item.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from chatfleet_operator.model.compare import QUANTITIES, ListKeys, contains, item_key
from chatfleet_operator.model.ownership import OUR_MANAGERS, SCALE_MANAGER
from chatfleet_operator.model.values import Manifest

Path: TypeAlias = tuple[str, ...]

OURS: Final = OUR_MANAGERS | {SCALE_MANAGER}


def first_difference(live: object, desired: Manifest, list_keys: ListKeys) -> Path:
    """Return the path of the first field of `desired` that `live` does not hold; its metadata come last."""
    content = {key: value for key, value in desired.items() if key != "metadata"}
    return _in_value(live, {**content, "metadata": desired["metadata"]}, list_keys, "")


def _in_value(live: object, desired: object, list_keys: ListKeys, parent: str) -> Path:
    if isinstance(live, dict) and isinstance(desired, dict):
        for key, value in desired.items():
            field = parent if parent in QUANTITIES else key
            if not contains(live.get(key), value, list_keys, parent=field):
                return (f"f:{key}", *_in_value(live.get(key), value, list_keys, field))
    elif isinstance(live, list) and isinstance(desired, list) and (keys := list_keys.get(parent)):
        found = {item_key(item, keys): item for item in live if isinstance(item, dict)}
        for item in desired:
            theirs = found.get(item_key(item, keys))
            if not contains(theirs, item, list_keys):
                return (_segment(item, keys), *_in_value(theirs, item, list_keys, ""))
    return ()


def _segment(item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return "k:" + json.dumps({key: item.get(key) for key in keys}, sort_keys=True, separators=(",", ":"))


def dotted(path: Path) -> str:
    """Return `path` as people write it: `spec.containers[api].image`."""
    text = ""
    for segment in path:
        if segment.startswith("k:"):
            text += f"[{','.join(map(str, json.loads(segment[2:]).values()))}]"
        else:
            text += f".{segment[2:]}"
    return text.removeprefix(".")


def writer_of(live: Manifest, path: Path) -> str:
    """Return the field manager, not one of ours, that wrote `path` or else anything last; empty: none."""
    return holder_of(live, path) or _newest(_others(live))


def holder_of(live: Manifest, path: Path) -> str:
    """Return the field manager, not one of ours, that wrote `path`; empty: none."""
    return _newest(entry for entry in _others(live) if _has(entry.get("fieldsV1") or {}, path))


def _others(live: Manifest) -> Iterator[Manifest]:
    for entry in live["metadata"].get("managedFields") or ():
        if entry.get("manager") not in OURS and entry.get("subresource") != "status":
            yield entry


def _newest(entries: Iterable[Manifest]) -> str:
    by_time = sorted(entries, key=lambda entry: str(entry.get("time", "")))
    return str(by_time[-1].get("manager", "")) if by_time else ""


def _has(fields: Mapping[str, Any], path: Path) -> bool:
    """Whether `fields` has `path`, or a field that holds it as a whole."""
    for depth, segment in enumerate(path):
        if segment not in fields:
            return depth > 0 and not fields
        fields = fields[segment]
    return bool(path)
