"""The contract's models as structural OpenAPI v3 schemas, as a CustomResourceDefinition requires.

Parsing pydantic's JSON schema into `Schema` fails for every unknown keyword, so no constraint is dropped silently.
Rules of the target: the "structural schema" section of the Kubernetes documentation on CustomResourceDefinitions.
"""

from collections.abc import Callable, Iterator, Mapping

from pydantic import ConfigDict, Field, JsonValue

from chatfleet_contract.parts import Json, Part

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
    map_type: str | None = Field(None, alias="x-kubernetes-map-type")
    list_type: str | None = Field(None, alias="x-kubernetes-list-type")
    list_map_keys: list[str] | None = Field(None, alias="x-kubernetes-list-map-keys")
    validations: list[Rule] | None = Field(None, alias="x-kubernetes-validations")

    # Only in JSON schema; `structural` leaves none of them.
    title: str | None = None
    ref: str | None = Field(None, alias="$ref")
    defs: dict[str, "Schema"] = Field(default_factory=dict, alias="$defs", exclude=True)
    any_of: "list[Schema] | None" = None

    # Only in our schemas; the definition has Kubernetes' own schema of the type there (`pod_fields`), and a CEL rule
    # with the message in the place of the pattern.
    pod_field: str | None = Field(None, exclude=True)
    pattern_message: str | None = Field(None, exclude=True)

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

    def transformed(self, change: "Callable[[Schema], Schema]") -> "Schema":
        """Return this node and its descendants as `change` makes them."""
        node = change(self)
        inner = node.additional_properties
        return node.model_copy(
            update={
                "properties": node.properties
                and {name: each.transformed(change) for name, each in node.properties.items()},
                "items": node.items and node.items.transformed(change),
                "additional_properties": inner.transformed(change) if isinstance(inner, Schema) else inner,
            }
        )

    def walk(self, path: str = "") -> Iterator[tuple[str, "Schema"]]:
        """Yield this node and its descendants with their paths, such as `.spec.models[].name`."""
        yield path, self
        for step, child in self.children():
            yield from child.walk(path + step)


def structural(model: type[Part]) -> Schema:
    """Return the structural schema of `model`: no references, choices, titles or nulls."""
    root = Schema.model_validate(model.model_json_schema())
    return _structure(root, root.defs)


def _structure(node: Schema, defs: Mapping[str, Schema], *, optional: bool = False, defaults: bool = True) -> Schema:
    """Return `node` as a structural schema; without `defaults`, they are in its descriptions."""
    node = _resolved(node, defs)
    inner, properties = node.additional_properties, node.properties or {}
    below = defaults and not (optional and _may_be_empty(node))

    def child(each: Schema, *, optional: bool = True, filled: bool = below) -> Schema:
        return _structure(each, defs, optional=optional, defaults=filled)

    return node.model_copy(
        update={
            "title": None,
            **(_default(node) if defaults else _described_default(node)),
            "properties": {
                name: child(each, optional=name not in (node.required or ())) for name, each in properties.items()
            }
            or None,
            "items": node.items and child(node.items, filled=False),
            "additional_properties": None
            if node.preserve_unknown_fields or node.pod_field
            else child(inner)
            if isinstance(inner, Schema)
            else inner,
            **_lower_bound(node),
        }
    )


def _may_be_empty(node: Schema) -> bool:
    """Whether `node` may be an empty object, which the API server does not add itself, such as `managed: {}`.

    When its manager changes to server-side apply, the API server removes the defaults that it had filled in, and with
    the last one the object.
    """
    return bool(node.properties) and node.default is None and not node.required


def _default(node: Schema) -> Json:
    """Return the default: an empty object where the API server fills in the defaults of its fields."""
    return {"default": {} if node.properties and node.default is not None else node.default}


def _described_default(node: Schema) -> Json:
    """Return no default, but its description: a client compares a list as a whole with the file that it applies.

    A default that the API server filled in would be a difference for ever.
    """
    if node.default in (None, {}, []) or node.properties:
        return {"default": None}
    return {"default": None, "description": _sentences(node.description, f"Default: {_plain(node.default)}.")}


def with_pattern_messages(root: Schema) -> Schema:
    """Return `root` with rules in the place of patterns: a regular expression is no remedy."""
    return root.transformed(_matching)


def _matching(node: Schema) -> Schema:
    if node.pattern is None or node.pattern_message is None:
        return node
    pattern = node.pattern.replace("\\", "\\\\")
    match = Rule(rule=f"self.matches('{pattern}')", message=node.pattern_message)
    return node.model_copy(update={"pattern": None, "validations": [*(node.validations or []), match]})


def explained(root: Schema) -> Schema:
    """Return `root` with its defaults and bounds in its descriptions, where `kubectl explain` shows them."""
    return root.transformed(_explained)


def _explained(node: Schema) -> Schema:
    scalar = node.default if isinstance(node.default, bool | int | float | str) else None
    facts = {
        f"Default: {_plain(scalar)}.": scalar is not None and "Default: " not in (node.description or ""),
        f"{'Above' if node.exclusive_minimum else 'Minimum'}: {node.minimum}.": node.minimum is not None,
        f"Maximum: {node.maximum}.": node.maximum is not None,
        f"Maximum: {node.max_items} items.": node.max_items is not None,
    }
    described = _sentences(node.description, *(text for text, applies in facts.items() if applies))
    return node.model_copy(update={"description": described})


def _sentences(*texts: str | None) -> str | None:
    return " ".join(filter(None, texts)) or None


def _plain(value: JsonValue) -> JsonValue:
    return str(value).lower() if isinstance(value, bool) else value


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
