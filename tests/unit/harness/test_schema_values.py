"""Values that a schema allows, and the full document that the tests of the CRD start from."""

from enum import StrEnum
from typing import Annotated

import pytest
from pydantic import Field

from chatfleet_contract.crd import resource
from chatfleet_contract.parts import Part
from chatfleet_contract.schema import structural
from chatfleet_contract.spec import ChatDeploymentSpec
from harness.bounds import bounds
from harness.kube.full_chatdeployment import (
    full_chatdeployment,
    with_bedrock,
    with_identities,
    with_own_redis,
    with_volumes,
)
from harness.kube.operated_cluster import document
from harness.schema_values import UnknownValueError, changed, filled, leaves


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Part):
    size: int = 1


class Fields(Part):
    number: int = Field(5, ge=1, le=9)
    share: float | None = Field(None, gt=0, le=1)
    colour: Colour = Colour.RED
    flag: bool | None = None
    label: str | None = Field(None, min_length=2)
    inner: Inner = Inner()


class Items(Part):
    items: list[Fields] = Field(default_factory=list)


def test_a_field_that_is_missing_gets_its_default_or_a_value_within_its_bounds() -> None:
    whole = filled(structural(Fields), {"inner": {}})
    assert whole == {
        "inner": {"size": 1},
        "number": 5,
        "share": 0.01,
        "colour": "red",
        "flag": False,
        "label": "bb",
    }
    Fields.model_validate(whole)


def test_in_a_list_the_first_item_gets_what_no_item_has() -> None:
    given = {"items": [{"inner": {}, "label": "first"}, {"number": 7, "share": 1, "flag": True}]}
    first, second = filled(structural(Items), given)["items"]
    assert first == {"inner": {"size": 0}, "label": "first", "colour": "red"}  # a schema has no defaults in lists
    assert second == given["items"][1]


def test_a_missing_object_is_an_error_with_its_path_and_the_remedy() -> None:
    with pytest.raises(UnknownValueError, match=r"^\.items\[\]\.inner: .* Add the field to .*full\.yaml\.$"):
        filled(structural(Items), {"items": [{"number": 1}]})


def test_an_unknown_pattern_is_an_error_with_its_path_and_the_remedy() -> None:
    class Coded(Part):
        code: Annotated[str, Field(pattern="^x$")] | None = None

    with pytest.raises(UnknownValueError, match=r"^\.code: .* Add to PATTERNS in tests/harness/schema_values\.py"):
        filled(structural(Coded), {})


def test_each_field_changes_alone_and_within_the_schema() -> None:
    whole = filled(structural(Fields), {"inner": {}})
    documents = list(changed(structural(Fields), whole))
    assert {path for path, _ in documents} == {*whole, "inner.size"}
    for path, other in documents:
        Fields.model_validate(other)
        assert {name for name in whole if other.get(name) != whole[name]} == {path.partition(".")[0]}


def test_every_field_of_the_spec_has_another_value_within_its_schema() -> None:
    full = full_chatdeployment()
    specs = [
        each["spec"]
        for each in (full, with_own_redis(full), with_bedrock(full), with_volumes(full), *with_identities(full))
    ]
    schema = structural(ChatDeploymentSpec)
    for spec in specs:
        for _, other in changed(schema, spec):
            ChatDeploymentSpec.model_validate(other)
    seen = {path for spec in specs for path, _ in changed(schema, spec)}
    assert seen >= set(leaves(schema))


def test_every_bound_can_be_tried() -> None:
    """The tests with a real API server try them; this one fails early."""
    full = full_chatdeployment()
    documents = [full, with_own_redis(full), with_bedrock(full), with_volumes(full), *with_identities(full)]
    assert list(bounds(resource(), documents, document()))
