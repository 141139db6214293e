"""The contract's models as structural OpenAPI v3 schemas, as a CustomResourceDefinition requires.

Parsing pydantic's JSON schema into `Schema` fails for every unknown keyword, so no constraint is dropped silently.
Rules of the target: the "structural schema" section of the Kubernetes documentation on CustomResourceDefinitions.
"""

from collections.abc import Iterator, Mapping

from pydantic import ConfigDict, Field, JsonValue

from chatfleet_contract.parts import Part

Number = int | float


class Rule(Part):
    """A CEL rule: the API server rejects the object with `message` when `rule` is false."""

    rule: str
    message: str
    field_path: str | None = None


class Schema(Part):
    """A schema node; fields are in the order of the keywords in the generated file."""

    model_config = ConfigDict(extra="forbid")

    description: str | None = None
    type: str | None = None
    format: str | None = None
    default: JsonValue = None
    enum: list[str] | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    minimum: Number | None = None
    exclusive_minimum: bool | Number | None = None
    maximum: Number | None = None
    min_items: int | None = None
    max_items: int | None = None
    max_properties: int | None = None
    required: list[str] | None = None
    properties: dict[str, "Schema"] | None = None
    items: "Schema | None" = None
    additional_properties: "Schema | bool | None" = None
    preserve_unknown_fields: bool | None = Field(None, alias="x-kubernetes-preserve-unknown-fields")
    list_type: str | None = Field(None, alias="x-kubernetes-list-type")
    list_map_keys: list[str] | None = Field(None, alias="x-kubernetes-list-map-keys")
    validations: list[Rule] | None = Field(None, alias="x-kubernetes-validations")

    # Only in JSON schema; `structural` leaves none of them.
    title: str | None = None
    ref: str | None = Field(None, alias="$ref")
    defs: dict[str, "Schema"] = Field(default_factory=dict, alias="$defs", exclude=True)
    any_of: "list[Schema] | None" = None

    def with_siblings_of(self, other: "Schema") -> "Schema":
        """Return this schema, overlaid with the keywords of `other` beside its `$ref` or `anyOf`."""
        siblings = other.model_fields_set - {"ref", "any_of"}
        return self.model_copy(update={name: getattr(other, name) for name in siblings})

    def children(self) -> Iterator[tuple[str, "Schema"]]:
        """Yield the direct children with their relative paths: `.name`, `[]` or `{}`."""
        yield from ((f".{name}", child) for name, child in (self.properties or {}).items())
        if self.items:
            yield "[]", self.items
        if isinstance(self.additional_properties, Schema):
            yield "{}", self.additional_properties

    def walk(self, path: str = "") -> Iterator[tuple[str, "Schema"]]:
        """Yield this node and its descendants with their paths, such as `.spec.models[].name`."""
        yield path, self
        for step, child in self.children():
            yield from child.walk(path + step)


def structural(model: type[Part]) -> Schema:
    """Return the structural schema of `model`: no references, choices, titles or nulls."""
    root = Schema.model_validate(model.model_json_schema())
    return _structure(root, root.defs)


def _structure(node: Schema, defs: Mapping[str, Schema]) -> Schema:
    node = _resolved(node, defs)
    inner = node.additional_properties
    return node.model_copy(
        update={
            "title": None,
            # An empty object, so that the API server fills in the defaults of the fields themselves.
            "default": {} if node.properties and node.default is not None else node.default,
            "properties": node.properties and {name: _structure(p, defs) for name, p in node.properties.items()},
            "items": node.items and _structure(node.items, defs),
            "additional_properties": None
            if node.preserve_unknown_fields
            else _structure(inner, defs)
            if isinstance(inner, Schema)
            else inner,
            **_lower_bound(node),
        }
    )


def _resolved(node: Schema, defs: Mapping[str, Schema]) -> Schema:
    """Follow `$ref` and `anyOf [X, null]`: a field of a custom resource is absent, never null."""
    if node.any_of:
        (only,) = (choice for choice in node.any_of if choice.type != "null")
        return _resolved(only.with_siblings_of(node), defs)
    if node.ref:
        return _resolved(defs[node.ref.removeprefix("#/$defs/")].with_siblings_of(node), defs)
    return node


def _lower_bound(node: Schema) -> dict[str, Number | bool]:
    """Return an exclusive bound in the form of OpenAPI 3.0: a number in `minimum`, and a flag."""
    if node.exclusive_minimum is None:
        return {}
    return {"minimum": node.exclusive_minimum, "exclusive_minimum": True}
