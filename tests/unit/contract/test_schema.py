"""How models become structural schemas."""

from enum import StrEnum

import pytest
from pydantic import Field, ValidationError

from chatfleet_contract.crd import resource
from chatfleet_contract.parts import PRESERVE, Json, Part, worded
from chatfleet_contract.schema import explained, structural, with_pattern_messages


class Colour(StrEnum):
    """A colour."""

    RED = "red"


class Inner(Part):
    """An inner part."""

    size: int = Field(3, ge=1, description="How big.")


class Outer(Part):
    """An outer part."""

    needed: str = Field(description="Needed.")
    maybe: int | None = Field(None, gt=0, le=9, description="Maybe.")
    inner: Inner = Field(Inner(), description="With defaults.")
    absent: Inner | None = Field(None, description="Without.")
    colour: Colour = Field(Colour.RED, description="Which.")
    many: list[Inner] = Field(default_factory=list, description="Many.")
    named: dict[str, str] = Field(default_factory=dict, description="By name.")
    foreign: Json = Field(default_factory=dict, description="Somebody's.", json_schema_extra=PRESERVE)


INNER = {
    "type": "object",
    "properties": {"size": {"description": "How big.", "type": "integer", "default": 3, "minimum": 1}},
}


# Without a default, which would differ from what a client applies: a list, or an empty object.
DESCRIBED = {
    "type": "object",
    "properties": {"size": {"description": "How big. Default: 3.", "type": "integer", "minimum": 1}},
}


def test_a_model_becomes_one_schema_without_references_choices_titles_or_nulls() -> None:
    assert structural(Outer).document() == {
        "description": "An outer part.",
        "type": "object",
        "required": ["needed"],
        "properties": {
            "needed": {"description": "Needed.", "type": "string"},
            "maybe": {
                "description": "Maybe.",
                "type": "integer",
                "minimum": 0,
                "exclusiveMinimum": True,
                "maximum": 9,
            },
            # An empty default, so that the server fills in the defaults within.
            "inner": {"description": "With defaults.", "default": {}, **INNER},
            "absent": {"description": "Without.", **DESCRIBED},
            "colour": {"description": "Which.", "type": "string", "default": "red", "enum": ["red"]},
            "many": {
                "description": "Many.",
                "type": "array",
                "items": {"description": "An inner part.", **DESCRIBED},
            },
            "named": {"description": "By name.", "type": "object", "additionalProperties": {"type": "string"}},
            "foreign": {
                "description": "Somebody's.",
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
            },
        },
    }


def test_descriptions_name_defaults_and_bounds_for_those_who_read_no_schema() -> None:
    fields = explained(structural(Outer)).properties or {}
    assert {name: field.description for name, field in fields.items()} == {
        "needed": "Needed.",
        "maybe": "Maybe. Above: 0. Maximum: 9.",
        "inner": "With defaults.",
        "absent": "Without.",
        "colour": "Which. Default: red.",
        "many": "Many.",
        "named": "By name.",
        "foreign": "Somebody's.",
    }
    assert (fields["inner"].properties or {})["size"].description == "How big. Default: 3. Minimum: 1."
    assert (fields["absent"].properties or {})["size"].description == "How big. Default: 3. Minimum: 1."


def test_every_place_is_walked_by_its_path() -> None:
    assert [path for path, _ in structural(Outer).walk()] == [
        "",
        ".needed",
        ".maybe",
        ".inner",
        ".inner.size",
        ".absent",
        ".absent.size",
        ".colour",
        ".many",
        ".many[]",
        ".many[].size",
        ".named",
        ".named{}",
        ".foreign",
    ]


def test_a_keyword_that_a_custom_resource_cannot_hold_is_refused_and_not_dropped() -> None:
    class Multiple(Part):
        count: int = Field(multiple_of=2)

    with pytest.raises(ValidationError, match="multipleOf"):
        structural(Multiple)


def test_a_choice_between_two_types_is_refused() -> None:
    class Either(Part):
        value: int | str

    with pytest.raises(ValueError, match="too many values"):
        structural(Either)


def test_the_definition_has_a_rule_with_a_remedy_in_the_place_of_a_pattern() -> None:
    class Named(Part):
        name: str = Field(pattern=r"^[a-z]+\.svc$", json_schema_extra=worded("it has a dot; write it like a.svc"))

    (name,) = (with_pattern_messages(structural(Named)).properties or {}).values()
    assert name.document() == {
        "type": "string",
        "x-kubernetes-validations": [
            {"rule": r"self.matches('^[a-z]+\\.svc$')", "message": "it has a dot; write it like a.svc"}
        ],
    }


def test_every_pattern_of_the_spec_has_a_message_with_a_remedy() -> None:
    patterns = {path: node.pattern_message or "" for path, node in resource().walk() if node.pattern}
    assert patterns
    assert [path for path, message in patterns.items() if "; write " not in message] == []
