"""Kubernetes' own schemas of parts of a pod, as a definition may have them."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from chatfleet_contract.crd import definition
from chatfleet_contract.pod_fields import QUANTITY, TYPES, extract, pod_fields

ANNOTATIONS: Final = 262_144
"""Limit of the API server for the annotations of an object; `kubectl apply` keeps a copy of the object in one."""


def spec() -> Any:  # noqa: ANN401  # JSON
    document: Any = definition()
    (version,) = document["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def nodes(node: Any) -> Iterator[Any]:  # noqa: ANN401  # JSON
    yield node
    for each in (*(node.get("properties") or {}).values(), node.get("items"), node.get("additionalProperties")):
        if isinstance(each, dict):
            yield from nodes(each)


@pytest.mark.parametrize(
    ("holder", "field", "inner"),
    [
        ("template", "resources", "limits"),
        ("template", "affinity", "podAntiAffinity"),
        ("template", "tolerations", "effect"),
        ("template", "topologySpreadConstraints", "maxSkew"),
        ("template", "env", "valueFrom"),
        ("redis", "resources", "requests"),
        ("redis", "affinity", "nodeAffinity"),
        ("redis", "tolerations", "operator"),
    ],
)
def test_the_definition_has_the_fields_of_kubernetes(holder: str, field: str, inner: str) -> None:
    part = spec()[holder]["properties"]
    node = (part["managed"]["properties"] if holder == "redis" else part)[field]

    assert inner in node.get("items", node)["properties"]
    assert node["description"]


def test_nothing_of_a_pod_is_accepted_unseen_but_quantities() -> None:
    open_ended = [each for part in spec().values() for each in nodes(part) if "type" not in each]

    assert open_ended
    assert {each["pattern"] for each in open_ended} == {QUANTITY["pattern"]}


def test_the_definition_can_be_applied_by_a_client_that_keeps_a_copy() -> None:
    copy = json.dumps(definition(), separators=(",", ":"))

    assert len(copy) < ANNOTATIONS * 3 / 4, "the rest is for other annotations"


def test_no_schema_has_a_default_or_a_long_description() -> None:
    for name, schema in pod_fields().items():
        for path, node in schema.walk(name):
            assert node.default is None, path
            assert len(node.description or "") < 400, path


CORE: Final = "io.k8s.api.core.v1"


def test_references_are_resolved_and_only_the_first_sentence_is_kept() -> None:
    reference = {"$ref": f"#/components/schemas/{CORE}.EnvVarSource"}
    schemas: dict[str, Any] = {f"{CORE}.{name}": {"type": "object"} for name in TYPES}
    schemas[f"{CORE}.EnvVarSource"] = {"type": "object", "description": "A source. It has many.", "default": {}}
    schemas[f"{CORE}.EnvVar"] = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "The name, e.g. A. More of it.\n\nAnd more.", "default": ""},
            "valueFrom": {"allOf": [reference], "description": "Its source."},
            "many": {"type": "array", "items": reference, "x-kubernetes-patch-strategy": "merge"},
            "amount": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"},
        },
        "x-kubernetes-group-version-kind": [],
    }

    assert json.loads(extract({"components": {"schemas": schemas}}))["EnvVar"] == {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "The name, e.g. A."},
            "valueFrom": {"type": "object", "description": "Its source."},
            "many": {"type": "array", "items": {"type": "object", "description": "A source."}},
            "amount": QUANTITY,
        },
    }
