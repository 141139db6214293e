"""Values that a schema allows: a document with every field, and the same document with one field changed."""

from collections.abc import Collection, Iterator
from typing import Any

from chatfleet_contract.schema import Number, Schema

PATTERNS = {
    r"^[^/.][^/]*(/[^/.][^/]*)*$": ("handbook/current", "../handbook"),
    r"^[A-Za-z0-9_][-._A-Za-z0-9]*$": ("docs", "shop/docs"),
    r"^[A-Za-z][A-Za-z0-9_+/-]*$": ("Etc/GMT+2", "+02:00"),
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": ("a-1", "A"),
    r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$": ("org/Model-1.5:latest@x_y", "a b"),
    r"^[A-Za-z0-9]([-A-Za-z0-9._@]*[A-Za-z0-9])?$": ("Team-1.a@example_com", "a:b"),
    r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$": ("*", "shop*"),
    r"^(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$": ("web.1", "*-web"),
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$": ("2025-01-01", "latest"),
    r"^[a-z]{2,8}(-[a-z0-9]{1,16}){1,4}-[0-9]{1,2}$": ("us-gov-west-1", "eu-central-1a"),
    r"^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[!-~]+$": (
        "arn:aws-cn:iam::111122223333:role/team/chat",
        "arn:aws:iam::111122223333:user/chat",
    ),
    r"^[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?$": ("00000000-0000-0000-0000-000000000000", "common/"),
    r"^[1-9][0-9]*(Mi|Gi|Ti)$": ("512Mi", "1GB"),
    r"^https?://[^\s/?#]+(/[^\s?#]*)?$": ("https://prometheus.example.com:9090/tenant", "prometheus:9090"),
    r"^[0-9]+(\.[0-9]+)?m?$": ("50m", "-1"),
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$": ("llm.keys-1", ".."),
    r"^[0-9]{1,9}(\.[0-9]{1,9})?$": ("0.40", ".4"),
    r"^[0-9]{1,3}(\.[0-9]{1,6})?$": ("0.5", "1/2"),
    r"^[0-9]{1,6}(\.[0-9]{1,6})?$": ("999999.999999", "50 USD"),
    r"^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$": ("us-east_1", "US"),
    r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$": (".API_key-1..txt", ".."),
}
"""For each pattern a text that it takes and one that it does not."""


class UnknownValueError(Exception):
    """No value can be derived from the schema of a field; the message names its path and the remedy."""


def texts_of(path: str, pattern: str) -> tuple[str, str]:
    """Return a text that `pattern` takes, and one that it does not."""
    if pattern not in PATTERNS:
        raise UnknownValueError(
            f"{path}: the pattern {pattern} is unknown. Add to PATTERNS in tests/harness/schema_values.py a text that "
            "it takes and one that it does not."
        )
    return PATTERNS[pattern]


def value_of(path: str, node: Schema) -> Any:  # noqa: ANN401  # JSON
    """Return the default of a number, a boolean or a text; else a value within its bounds.

    Raises:
        UnknownValueError: it is an object or a list, or its format is unknown.
    """
    if node.default is not None and node.type in {"integer", "number", "boolean", "string"}:
        return node.default
    if node.enum:
        return node.enum[0]
    match node.type:
        case "boolean":
            return False
        case "integer" | "number":
            return next(_numbers(node))
        case "string" if node.pattern:
            return texts_of(path, node.pattern)[0]
        case "string" if not node.format:
            return "b" * (node.min_length or 1)
    raise UnknownValueError(
        f"{path}: no value can be derived from its schema. Add the field to tests/cluster/crd/fixtures/full.yaml."
    )


def filled(schema: Schema, document: Any, *, absent: Collection[str] = (), path: str = "") -> Any:  # noqa: ANN401  # JSON
    """Return `document` with every field of `schema`: a missing number, boolean or text is that of `value_of`.

    In a list, the first item gets the fields that no item has. Fields whose paths are in `absent` stay absent.

    Raises:
        UnknownValueError: a field is missing whose value cannot be derived; the message names it.
    """
    if schema.items and isinstance(document, list) and document:
        first, *rest = document
        besides = {f"{path}[].{name}" for item in rest if isinstance(item, dict) for name in item}
        return [filled(schema.items, first, absent={*absent, *besides}, path=f"{path}[]"), *rest]
    if not schema.properties or not isinstance(document, dict):
        return document
    whole = dict(document)
    for name, node in schema.properties.items():
        inner = f"{path}.{name}"
        if name in document:
            whole[name] = filled(node, document[name], absent=absent, path=inner)
        elif inner not in absent:
            whole[name] = value_of(inner, node)
    return whole


def changed(schema: Schema, document: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # JSON
    """Yield `document` with another value of one field, and without it if it is optional, with the field's path.

    In a list, the fields of one item change.
    """
    if schema.items and schema.items.properties and document:
        for i, item in enumerate(document):
            others = changed(schema.items, item, path)
            yield from ((inner, [*document[:i], other, *document[i + 1 :]]) for inner, other in others)
    elif schema.properties:
        for name in schema.properties.keys() & document.keys():
            node, inner = schema.properties[name], f"{path}.{name}".removeprefix(".")
            yield from ((where, {**document, name: value}) for where, value in changed(node, document[name], inner))
            if name not in (schema.required or ()):
                yield inner, {key: value for key, value in document.items() if key != name}
    else:
        yield path, _another(path, schema, document)


def leaves(schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the paths of all single fields of a schema, such as `models.name`."""
    parts = schema.properties or (schema.items.properties if schema.items else None) or {}
    for name, part in parts.items():
        yield from leaves(part, f"{path}.{name}".removeprefix("."))
    if not parts:
        yield path


def _another(path: str, node: Schema, value: Any) -> Any:  # noqa: ANN401  # JSON
    match value:
        case bool():
            return not value
        case int() | float():
            return next(each for each in _numbers(node) if each != value)
        case list():
            return [*value, *value[-1:]]
        case dict():
            return {**value, "k": "v"}
    others = node.enum or ([texts_of(path, node.pattern)[0], f"{value}1"] if node.pattern else [f"{value}b"])
    return next(each for each in others if each != value)


def _numbers(node: Schema) -> Iterator[Number]:
    """Yield numbers within the bounds of `node`."""
    step = 1 if node.type == "integer" else 0.01
    least = 0 if node.minimum is None else node.minimum + (step if node.exclusive_minimum else 0)
    most = least + 2 * step if node.maximum is None else node.maximum
    yield from dict.fromkeys((least, min(least + step, most), most))
