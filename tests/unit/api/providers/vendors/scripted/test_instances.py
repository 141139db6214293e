"""A made value is one that its schema allows; jsonschema judges."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfleet_api.providers.vendors.scripted.instances import instance_of

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "left": {"$ref": "#/$defs/node"}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
}
SCHEMAS = [
    CITY,
    TREE,
    {"type": "object", "properties": {"a": CITY, "b": {"type": "array", "items": CITY, "minItems": 3}}},
    {"enum": ["celsius", "fahrenheit"]},
    {"const": {"kind": 1}},
    {"type": ["string", "null"], "format": "date-time"},
    {"type": "string", "minLength": 12, "maxLength": 14},
    {"type": "string", "maxLength": 2},
    {"type": "integer", "minimum": 18, "maximum": 21},
    {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    {"type": "integer", "maximum": -4},
    {"type": "number", "minimum": 0.2, "maximum": 0.4},
    {"type": "number", "exclusiveMinimum": 0, "multipleOf": 2.5},
    {"type": "boolean"},
    {"type": "null"},
    {"anyOf": [CITY, {"type": "null"}]},
    {"oneOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}, "maxItems": 0}]},
    {"allOf": [CITY, {"properties": {"zip": {"type": "integer"}}, "required": ["zip"]}]},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
    {"properties": {"untyped": {}}},
]
WORDS = (
    *("type", "object", "array", "string", "integer", "number", "enum", "const", "$ref", "allOf", "anyOf", "format"),
    *("required", "properties", "items", "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "minimum"),
    *("maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("schema", SCHEMAS, ids=repr)
@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_the_schema_allows_the_value(schema: dict[str, Any], seed: str) -> None:
    value = instance_of(schema, seed)
    jsonschema.validate(value, schema)
    assert instance_of(schema, seed) == value


def test_seeds_lead_to_different_values() -> None:
    assert len({instance_of({"type": "string"}, str(seed)) for seed in range(20)}) > 3


@given(st.dictionaries(st.sampled_from(WORDS), VALUES | st.sampled_from(WORDS), max_size=6))
def test_what_is_no_schema_has_a_value_all_the_same(schema: dict[str, Any]) -> None:
    instance_of(schema, "a")


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {str(number): {"$ref": "#"} for number in range(30)}},
        {"required": list("abc"), "properties": {name: {"$ref": "#"} for name in "abc"}},
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"type": "string", "minLength": 10**12},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
    ],
    ids=repr,
)
def test_a_recursive_or_huge_schema_has_a_small_value(schema: dict[str, Any]) -> None:
    assert len(json.dumps(instance_of(schema, "a"))) < 100_000


@pytest.mark.parametrize("name", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"])
@pytest.mark.parametrize("bound", [10**400, -(10**400), 1e-300, 1e308])
def test_bounds_beyond_any_float_are_ignored(name: str, bound: float) -> None:
    assert isinstance(instance_of({"type": "number", name: bound}, "a"), int | float)
