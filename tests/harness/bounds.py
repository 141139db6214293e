"""For every bound that a schema sets: a document exactly at the bound, and one just beyond it.

They are made from a full document, whose first items hold every field and are referred to by nobody, so that the rules
across fields stay true while one value changes.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatfleet_contract.schema import Schema
from harness.schema_values import texts_of

Document = dict[str, Any]
Place = tuple[str | int, ...]

REASONS = {
    "minimum": "FieldValueInvalid",
    "maximum": "FieldValueInvalid",
    "minLength": "FieldValueInvalid",
    "maxLength": "FieldValueTooLong",
    "pattern": "FieldValueInvalid",
    "format": "FieldValueTypeInvalid",
    "enum": "FieldValueNotSupported",
    "required": "FieldValueRequired",
    "minItems": "FieldValueInvalid",
    "maxItems": "FieldValueTooMany",
    "maxProperties": "FieldValueTooMany",
    "x-kubernetes-list-map-keys": "FieldValueDuplicate",
}
"""Keywords that bound a value, and the reason that the API server gives for a value beyond."""

NO_BOUNDS = {
    *("description", "type", "default", "properties", "items", "additionalProperties"),
    *("x-kubernetes-list-type", "x-kubernetes-preserve-unknown-fields"),
    "exclusiveMinimum",  # tried with minimum
    "x-kubernetes-validations",  # tried by fixtures written by hand
}

_IDENTITY = ".spec.providers[].credentials.workloadIdentity"

_KINDS = ("input", "output", "cacheRead", "cacheWrite", "cacheWrite30m", "cacheWrite1h", "cacheWrite12h")
_PRICES = [f"{kind}PerMillionTokens" for kind in (*_KINDS, "reasoning", "audioInput", "audioOutput")]
_PRICED = (".spec.models[].pricing", ".spec.models[].pricing.tiers[]")
_BUDGETS, _AMOUNTS = ("perTenant", "perKey", "perUser"), ("usdPerDay", "usdPerMonth")
_KNOWING = ("models", "agents.members")
LONGEST = {
    **{f"{place}.{price}": "1" * 9 + "." + "1" * 9 for place in _PRICED for price in _PRICES},
    **{f".spec.models[].pricing.{part}[].factor": "111.111111" for part in ("serviceTiers", "regions")},
    **{f".spec.limits.budgets.{whose}.{amount}": "111111.111111" for whose in _BUDGETS for amount in _AMOUNTS},
    **{f".spec.limits.budget.{amount}": "111111.111111" for amount in _AMOUNTS},
    ".spec.limits.timeZone": "America/Argentina/ComodRivadavia",
    ".spec.providers[].baseURL": "https://b/" + "b" * 2038,
    ".spec.providers[].azure.apiVersion": "2025-01-01-preview",
    ".spec.providers[].bedrock.region": "bbbbbbbb-bbbbbbbbbbbbbbbb-bbb-11",
    f"{_IDENTITY}.openAI.tokenURL": "https://" + "b" * 504,
    f"{_IDENTITY}.azure.authorityURL": "https://" + "b" * 504,
    f"{_IDENTITY}.tokenExchange.url": "https://" + "b" * 504,
    f"{_IDENTITY}.aws.roleARN": "arn:aws:iam::111122223333:role/" + "b" * 2017,
    ".spec.redis.managed.storage": "1" * 14 + "Gi",
    ".spec.autoscaling.metrics[].averageValue": "1".zfill(20),
    ".spec.autoscaling.behavior.scaleUp.tolerance": "1" * 16,
    ".spec.autoscaling.behavior.scaleDown.tolerance": "1" * 16,
    ".spec.access.jwt[].issuer": "https://b/" + "b" * 502,
    ".spec.access.jwt[].jwksURL": "https://b/" + "b" * 502,
    ".spec.webhooks[].url": "https://b/" + "b" * 502,
    ".spec.observability.otlpEndpoint": "https://b/" + "b" * 502,
    ".spec.toolServers[].mcp.url": "https://b/" + "b" * 502,
    **{f".spec.{whose}[].knowledge.store.chroma.url": "https://b/" + "b" * 502 for whose in _KNOWING},
    ".spec.egress.allow[]": "b." * 126 + "b",
    ".spec.egress.noProxy[]": "b." * 126 + "b",
    ".spec.egress.proxyURL": "http://" + "b" * 2041,
    ".spec.autoscaling.keda.prometheusURL": "http://" + "b" * 2041,
}
"""The longest text that is allowed, where it cannot be a row of one letter."""

_BUDGETED = (".spec.limits.budget", *(f".spec.limits.budgets.{whose}" for whose in _BUDGETS))
REFERENCES = {
    *(".spec.models[].provider", ".spec.models[].fallbacks[]", ".spec.limits.models[].model"),
    *(f"{budget}.degradeTo" for budget in _BUDGETED),
    ".spec.conversations.titles.model",
    ".spec.models[].tools[]",
    *(".spec.agents.supervisor.model", ".spec.agents.members[].model", ".spec.agents.members[].handoffs[]"),
    *(f".spec.{whose}[].knowledge.embedding.model" for whose in _KNOWING),
}
"""Fields that name another part; the full document has parts named `a` and as many `a` as are allowed."""

ALL_PRESENT = {
    *(".spec.providers[].type", ".spec.providers[].api"),
    *(f"{budget}.onExhausted" for budget in _BUDGETED),
    *(f".spec.{whose}[].knowledge.store.type" for whose in _KNOWING),
    *(".spec.autoscaling.source", ".spec.autoscaling.metrics[].type", ".spec.access.admin[].kind"),
    ".spec.webhooks[].events[]",
}
"""Enums whose values need each something else beside them; the documents hold every value."""


TOGETHER = ({"providers", "models", "limits", "agents", "conversations", "streaming", "toolServers"},)
"""Parts of a spec that rules hold together; each other one is tried beside the least spec, which is quicker."""


@dataclass(frozen=True)
class Bound:
    """One bound, with a document on each side of it."""

    path: str
    keyword: str
    field: str
    """Where the API server says that the document beyond is wrong."""
    base: Document
    place: Place
    at: Any
    beyond: Any
    """`ABSENT`: the place is to be left out."""

    def is_apart(self, other: "Bound") -> bool:
        """Return whether one document can hold the values of both."""
        shorter = min(len(self.place), len(other.place))
        return self.base == other.base and self.place[:shorter] != other.place[:shorter]


ABSENT: Final = object()


def grouped(all_bounds: Iterable[Bound]) -> list[list[Bound]]:
    """Put bounds of which one document can hold all values together: one request tries many of them."""
    groups: list[list[Bound]] = []
    for bound in all_bounds:
        group = next((group for group in groups if all(map(bound.is_apart, group))), None)
        if group is None:
            groups.append(group := [])
        group.append(bound)
    return groups


def at(group: Sequence[Bound]) -> Document:
    """Return the document with the values of a group that are just allowed."""
    return _with(group[0].base, [(bound.place, bound.at) for bound in group])


def beyond(group: Sequence[Bound]) -> Document:
    """Return the document with the values of a group that are just not allowed."""
    return _with(group[0].base, [(bound.place, bound.beyond) for bound in group])


def bounds(schema: Schema, full: Sequence[Document], least: Document) -> Iterator[Bound]:
    """Yield every bound of `schema`, each tried on the first of `full` that has its place.

    `least` has one item where lists need one; so has one of the full ones where it has no such list.
    """
    for path, node in schema.walk():
        place = _place(path)
        for keyword in sorted(node.document().keys() - NO_BOUNDS):
            bases = [each for each in (least, *full) if keyword == "minItems" or each is not least]
            bases = [each for each in bases if _has(each, place)]
            if keyword == "minItems":  # the shortest list
                bases.sort(key=lambda each: len(_get(each, place)))
            base = next(iter(bases), None)
            assert base, f"{path}: add the field to the first item or object in tests/harness/kube/full.yaml"
            base = _part(base, place, least)
            if keyword == "required":
                for name in node.required or []:
                    inner = (*place, name)
                    yield Bound(f"{path}.{name}", keyword, _field(inner), base, inner, _get(base, inner), ABSENT)
                continue
            for taken, refused in _values(path, node, keyword, _get(base, place)):
                wrong = (*place, len(refused) - 1) if keyword == "x-kubernetes-list-map-keys" else place
                yield Bound(path, keyword, _field(wrong), base, place, taken, refused)


def _values(  # noqa: C901  # one case for each keyword
    path: str,
    node: Schema,
    keyword: str,
    present: Any,  # noqa: ANN401  # JSON
) -> Iterator[tuple[Any, Any]]:
    """Yield a value at the bound and one beyond it; more than one pair for an enum."""
    bound: Any = node.document()[keyword]
    letter = "a" if path in REFERENCES else "b"
    step = 1 if node.type == "integer" else 0.01
    match keyword:
        case "minimum":
            yield (bound + step, bound) if node.exclusive_minimum else (bound, bound - step)
        case "maximum":
            yield bound, bound + step
        case "minLength":
            yield letter * bound, letter * (bound - 1)
        case "maxLength":
            longest = LONGEST.get(path, letter * bound)
            assert len(longest) == bound, (
                f"{path}: add the longest text that is allowed to LONGEST in tests/harness/bounds.py"
            )
            yield longest, longest[0] + longest
        case "pattern":
            taken, refused = texts_of(path, bound)
            yield letter if path in REFERENCES else taken, refused
        case "format":
            yield {"date-time": "2026-01-01T00:00:00Z"}[bound], "nonsense"
        case "enum":
            yield from ((present if path in ALL_PRESENT else value, "nonsense") for value in bound)
        case "minItems":
            assert len(present) == bound, f"{path}: needs {bound} items in minimal.yaml"
            yield present, []
        case "maxItems":
            yield _grown(path, present, node, bound), _grown(path, present, node, bound + 1)
        case "maxProperties":
            yield {f"k{i}": "v" for i in range(bound)}, {f"k{i}": "v" for i in range(bound + 1)}
        case "x-kubernetes-list-map-keys":
            yield present, [*present, present[-1]]
        case _:
            raise AssertionError(f"{path}: add how to try {keyword} to _values in tests/harness/bounds.py")


def _grown(path: str, items: list[Any], node: Schema, size: int) -> list[Any]:
    """Return a list of `size`: the items, then copies of the last, under keys of their own; texts get a number."""
    last = items[-1]
    if isinstance(last, str):
        return items + [f"{last}{i}" for i in range(size - len(items))]
    keys = node.list_map_keys
    letter = "a" if any(f"{path}[].{key}" in REFERENCES for key in keys or ()) else "n"
    more = range(size - len(items))
    return items + [{**last, **{key: _numbered(last[key], letter, i) for key in keys or ()}} for i in more]


def _numbered(text: str, letter: str, number: int) -> str:
    return f"{text}{number}" if "://" in text else f"{letter}{number}"


def _part(base: Document, place: Place, least: Document) -> Document:
    """Return `base` with the part of its spec that has `place`, and of the others what `least` has."""
    part = place[1] if place[:1] == ("spec",) and len(place) > 1 else None
    if place[:1] == ("status",):
        return {**least, "status": base["status"]}
    if not isinstance(part, str):
        return base
    kept = next((parts for parts in TOGETHER if part in parts), {part})
    return {**least, "spec": {**least["spec"], **{name: base["spec"][name] for name in kept & base["spec"].keys()}}}


def _place(path: str) -> Place:
    steps = path.replace("[]", ".[]").split(".")
    return tuple(0 if step == "[]" else step for step in steps if step)


def _field(place: Place) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def _get(document: Any, place: Place) -> Any:  # noqa: ANN401  # JSON
    for step in place:
        document = document[step]
    return document


def _has(document: Document, place: Place) -> bool:
    try:
        _get(document, place)
    except (KeyError, IndexError):
        return False
    return True


def _with(document: Document, values: Iterable[tuple[Place, object]]) -> Document:
    """Return a copy with these values at their places."""
    copy: Document = json.loads(json.dumps(document))  # parts that are one object become parts of their own
    for place, value in values:
        holder = _get(copy, place[:-1])
        if value is ABSENT:
            del holder[place[-1]]
        else:
            holder[place[-1]] = value
    return copy
