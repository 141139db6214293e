"""The schemas of Kubernetes' own types in a pod, as its API server publishes them, pinned in `pod_fields.json`.

Only the CustomResourceDefinition has them: the operator copies such fields without reading them. To renew the file from
a cluster: `kubectl get --raw /openapi/v3/apis/apps/v1 | python -m chatfleet_contract.pod_fields >pod_fields.json`.
"""

import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from chatfleet_contract.parts import Json
from chatfleet_contract.schema import Schema

FILE: Final = Path(__file__).with_name("pod_fields.json")
TYPES: Final = ("ResourceRequirements", "Toleration", "Affinity", "TopologySpreadConstraint", "EnvVar")
"""Types of `io.k8s.api.core.v1` that fields of a spec have."""

QUANTITY: Final[Json] = {
    "description": "A quantity, such as 500m, 1.5 or 2Gi.",
    "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
    "x-kubernetes-preserve-unknown-fields": True,
}
"""A number or a text: in a structural schema, a place without a type."""

_KEPT: Final = frozenset(
    {"type", "format", "enum", "required", "properties", "items", "additionalProperties"}
    | {"x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"}
)
"""Keywords that stay. A default within a list would be a difference for a client that applies the list again."""


@cache
def pod_fields() -> Mapping[str, Schema]:
    """Return the schemas by the name of their type."""
    document: Mapping[str, Json] = json.loads(FILE.read_text())
    return {name: Schema.model_validate(schema) for name, schema in document.items()}


def with_pod_fields(root: Schema) -> Schema:
    """Return `root` with Kubernetes' schemas in the places that have its types."""
    return root.transformed(_expanded)


def _expanded(node: Schema) -> Schema:
    if node.pod_field is None:
        return node
    return pod_fields()[node.pod_field].model_copy(update={"description": node.description})


def extract(openapi: Mapping[str, Any]) -> str:
    """Return the text of the file, from the OpenAPI document of the API group apps/v1."""
    schemas: Mapping[str, Any] = openapi["components"]["schemas"]
    found = {name: _structural(schemas[f"io.k8s.api.core.v1.{name}"], schemas) for name in TYPES}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _structural(node: Mapping[str, Any], schemas: Mapping[str, Any]) -> Json:
    """Return `node` without references, defaults and what only Kubernetes' own code reads."""
    (reference,) = [each["$ref"] for each in (node, *node.get("allOf", ())) if "$ref" in each] or [None]
    if reference:
        name = reference.rpartition("/")[2]
        inner = QUANTITY if name.endswith(".resource.Quantity") else _structural(schemas[name], schemas)
        return inner | _description(node)
    kept = {key: value for key, value in node.items() if key in _KEPT}
    for key in kept.keys() & {"items", "additionalProperties"}:
        kept[key] = _structural(kept[key], schemas)
    if "properties" in kept:
        kept["properties"] = {name: _structural(each, schemas) for name, each in kept["properties"].items()}
    return kept | _description(node)


def _description(node: Mapping[str, Any]) -> Json:
    """Return the first sentence: the whole text of every type would not fit beside the object of `kubectl apply`."""
    text = " ".join(str(node.get("description", "")).partition("\n\n")[0].split())
    return {"description": re.split(r"(?<!e\.g\.)(?<!i\.e\.)(?<=\.) (?=[A-Z])", text)[0]} if text else {}


if __name__ == "__main__":
    sys.stdout.write(extract(json.load(sys.stdin)))
