"""A value that a JSON schema allows, the same for the same seed. Pure.

It covers what functions and structured outputs use: types, `enum`, `const`, `anyOf`, `oneOf`, `allOf`, `$ref` within
the schema, bounds and formats. A `pattern` is not generated.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

MAX_DEPTH: Final = 8
"""Depth from which an object has its required properties only, so that a recursive schema ends."""
HARD_DEPTH: Final = 32
"""Depth from which every value is null: the schema allows no finite one, or none worth its size."""
MAX_VALUES: Final = 2_000
"""Values from which an object has its required properties only; from twice as many on, each is null."""
MAX_ITEMS: Final = 100
MAX_CHARS: Final = 1_000
_LARGEST: Final = 1e15
_FINEST: Final = 1e-6
"""Bounds beyond the largest number, and steps below the finest, are ignored: they would leave the range of a float."""

_WORDS: Final = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty")
_FORMATS: Final = MappingProxyType(
    {
        "date-time": "2026-01-02T03:04:05Z",
        "date": "2026-01-02",
        "time": "03:04:05Z",
        "duration": "P1D",
        "email": "amber@example.com",
        "hostname": "example.com",
        "ipv4": "192.0.2.1",
        "ipv6": "2001:db8::1",
        "uri": "https://example.com/amber",
        "uuid": "01234567-89ab-7def-8123-456789abcdef",
    }
)

_Schema = Mapping[str, Any]


class Named(NamedTuple):
    """Values that the user has named; they are used where the schema allows them."""

    numbers: Sequence[float] = ()
    texts: Sequence[str] = ()


_NONE: Final = Named()


def instance_of(schema: object, seed: str, named: Named = _NONE) -> Any:  # noqa: ANN401  # JSON
    """Return a value that `schema` allows; null where it is no schema."""
    return _Instances(schema if isinstance(schema, Mapping) else {}, seed, named).value(schema, "", 0)


class _Instances:
    def __init__(self, root: _Schema, seed: str, named: Named) -> None:
        self._root = root
        self._named = named
        self._seed = seed
        self._made = 0
        self._makers: Mapping[str, Callable[[_Schema, str, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._numeric,
            "number": self._numeric,
            "boolean": lambda _, path, __: bool(self._number(path, 2)),
        }

    def value(self, given: object, path: str, depth: int) -> Any:  # noqa: ANN401  # JSON
        self._made += 1
        if depth > HARD_DEPTH or self._made > 2 * MAX_VALUES or not isinstance(given, Mapping):
            return None
        schema = self._resolved(given, path)
        if "const" in schema:
            return schema["const"]
        if isinstance(values := schema.get("enum"), Sequence) and values:
            return values[self._number(path, len(values))]
        make = self._makers.get(_kind(schema) or "")
        return make(schema, path, depth) if make else None

    def _resolved(self, schema: _Schema, path: str) -> _Schema:
        """Return the schema with one of its alternatives, and with what it references."""
        for _ in range(HARD_DEPTH):
            merged = dict(schema)
            reference = merged.pop("$ref", None)
            parts = [self._referenced(reference)] if isinstance(reference, str) else []
            parts += _schemas(merged.pop("allOf", None))
            for name in ("anyOf", "oneOf"):
                if alternatives := _schemas(merged.pop(name, None)):
                    parts.append(alternatives[self._number(path + name, len(alternatives))])
            if not parts:
                return merged
            schema = _merged([*parts, merged])
        return {}

    def _referenced(self, reference: str) -> _Schema:
        found: Any = self._root
        for key in reference.removeprefix("#").split("/")[1:]:
            found = found.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _object(self, schema: _Schema, path: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        required = _names(schema.get("required"))
        names = required if self._is_deep(depth) else dict.fromkeys([*properties, *required])
        return {name: self.value(properties.get(name, _ANY), f"{path}/{name}", depth + 1) for name in names}

    def _is_deep(self, depth: int) -> bool:
        return depth >= MAX_DEPTH or self._made > MAX_VALUES

    def _array(self, schema: _Schema, path: str, depth: int) -> list[Any]:
        first = _schemas(schema.get("prefixItems"))
        fewest = max(_integer(schema, "minItems", 0), len(first))
        number = max(fewest, 0 if self._is_deep(depth) else 1)
        number = min(number, _integer(schema, "maxItems", number), MAX_ITEMS)
        items = schema.get("items", _ANY)
        each = [*first, *[items] * number][:number]
        return [self.value(one, f"{path}/{index}", depth + 1) for index, one in enumerate(each)]

    def _string(self, schema: _Schema, path: str, _: int) -> str:
        if isinstance(form := schema.get("format"), str) and form in _FORMATS:
            return _FORMATS[form]
        texts = self._named.texts or _WORDS
        text = texts[self._number(path, len(texts))]
        shortest = min(_integer(schema, "minLength", 0), MAX_CHARS)
        text = (text * math.ceil(shortest / len(text)))[: max(shortest, len(text))] if shortest else text
        return text[: max(_integer(schema, "maxLength", len(text)), 0)]

    def _numeric(self, schema: _Schema, path: str, _: int) -> float:
        whole = _kind(schema) == "integer"
        step = _real(schema, "multipleOf", 1)
        step = step if step >= _FINEST else 1
        low = max(_real(schema, "minimum", -math.inf), _above(schema, step))
        high = min(_real(schema, "maximum", math.inf), _below(schema, step))
        for named in self._named.numbers:
            if low <= named <= high and (named / step).is_integer() and (named.is_integer() or not whole):
                return int(named) if named.is_integer() else named
        first = 0 if low == -math.inf and high >= 0 else math.ceil(low / step) if low > -math.inf else high // step - 9
        last = min(first + 9, math.floor(high / step) if high < math.inf else first + 9)
        found = (first + self._number(path, max(1, int(last - first) + 1))) * step
        if found > high or found < low:
            found = (low + high) / 2
        return int(found) if whole or float(found).is_integer() else found

    def _number(self, path: str, below: int) -> int:
        digest = hashlib.blake2b(f"{self._seed}{path}".encode(errors="surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % below


_ANY: Final = MappingProxyType({"type": "string"})


def _kind(schema: _Schema) -> str | None:
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return kinds
    if isinstance(kinds, Sequence) and kinds:
        return next((kind for kind in kinds if isinstance(kind, str) and kind != "null"), None)
    for kind, names in _IMPLIED.items():
        if any(name in schema for name in names):
            return kind
    return "string" if kinds is None else None


_IMPLIED: Final = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems"),
    "number": ("minimum", "maximum", "multipleOf"),
}


def _merged(parts: Sequence[_Schema]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        both = [one["properties"] for one in (merged, part) if isinstance(one.get("properties"), Mapping)]
        properties = {name: schema for each in both for name, schema in each.items()}
        required = [*_names(merged.get("required")), *_names(part.get("required"))]
        merged |= part
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = required
    return merged


def _names(found: object) -> list[str]:
    each = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
    return [name for name in each if isinstance(name, str)]


def _schemas(found: object) -> list[_Schema]:
    each = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
    return [schema for schema in each if isinstance(schema, Mapping)]


def _integer(schema: _Schema, name: str, default: int) -> int:
    value = schema.get(name)
    return value if isinstance(value, int) else default


def _real(schema: _Schema, name: str, default: float) -> float:
    value = schema.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return value
    return default


def _above(schema: _Schema, step: float) -> float:
    bound = _real(schema, "exclusiveMinimum", -math.inf)
    return (math.floor(bound / step) + 1) * step if bound > -math.inf else bound


def _below(schema: _Schema, step: float) -> float:
    bound = _real(schema, "exclusiveMaximum", math.inf)
    return (math.ceil(bound / step) - 1) * step if bound < math.inf else bound
