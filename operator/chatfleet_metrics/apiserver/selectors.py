"""Label selectors of a query in Kubernetes' grammar: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Pure."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

_PART: Final = re.compile(r"(?:[^,(]|\([^)]*\))+")
_KEY: Final = r"(?P<key>[\w./-]+)"
_EQUALS: Final = re.compile(rf"{_KEY}\s*(?P<operator>==?|!=)\s*(?P<values>[\w.-]*)")
_SET: Final = re.compile(rf"{_KEY}\s+(?P<operator>in|notin)\s*\((?P<values>[\w.,\s-]*)\)")
_PRESENCE: Final = re.compile(rf"(?P<operator>!?)\s*{_KEY}")


class BadSelector(ValueError):  # noqa: N818  # named by what is wrong, as the other errors are
    """The text is no label selector."""


class Operator(Enum):
    IN = "in"
    NOT_IN = "notin"
    EXISTS = ""
    ABSENT = "!"


_OPERATORS: Final = {"=": Operator.IN, "==": Operator.IN, "!=": Operator.NOT_IN}


class Requirement(NamedTuple):
    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def is_met_by(self, labels: Mapping[str, str]) -> bool:
        """As in Kubernetes, an absent label is unequal to any value."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.ABSENT:
                return self.key not in labels


Selector = tuple[Requirement, ...]
"""All requirements must hold; an empty selector selects everything."""


def parse_selector(text: str) -> Selector:
    """Parse a selector; raises BadSelector."""
    parts = _PART.findall(text)
    if ",".join(parts) != text:
        raise BadSelector(f"unable to parse label selector {text!r}")
    return tuple(_requirement(part.strip()) for part in parts)


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    return all(requirement.is_met_by(labels) for requirement in selector)


def _requirement(text: str) -> Requirement:
    if found := _EQUALS.fullmatch(text):
        return Requirement(found["key"], _OPERATORS[found["operator"]], frozenset({found["values"]}))
    if found := _SET.fullmatch(text):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], Operator(found["operator"]), values)
    if found := _PRESENCE.fullmatch(text):
        return Requirement(found["key"], Operator(found["operator"]))
    raise BadSelector(f"unable to parse label selector {text!r}")
