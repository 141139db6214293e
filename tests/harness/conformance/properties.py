"""The properties of a vendor's SDK's own type, at any depth, each with documents that have it and documents without."""

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin

import typing_extensions
from pydantic import BaseModel

from harness.sdk_samples import Samples, texts_in

MAX_DEPTH = 9
VALUES: dict[Any, tuple[Any, ...]] = {int: (1, 30_000), bool: (True, False), float: (0.5, 0.25)}
"""Two of each: a difference has to be seen."""

REQUIRED: Any = typing_extensions.Required
QUALIFIERS: tuple[Any, ...] = (Annotated, REQUIRED, typing_extensions.NotRequired)
APART = "messages["
"""Messages of each role have parts of their own."""

Build: TypeAlias = Callable[[Any], Any]
"""Puts a value where it belongs in a document."""


class Probe(NamedTuple):
    """Two documents that differ in one property."""

    document: Any
    other: Any
    """Without the property or, when it is required, with another value; None: there is no other."""
    value: Any
    """Of the property, in the first."""


class Property(NamedTuple):
    """A property, by its path, such as `tools[function].function.strict`."""

    path: str
    probes: tuple[Probe, ...]

    @property
    def top(self) -> str:
        """The first name of the path."""
        return re.split(r"[.\[(]", self.path)[0]


class _Field(NamedTuple):
    name: str
    hint: Any
    required: bool


class _Option(NamedTuple):
    """A value that a type allows."""

    label: str
    value: Any
    kind: Any
    """The object that the value is or holds; None: there is none."""
    wrap: Build


def properties_of(kind: Any, *, ours: Mapping[str, Any] | None = None) -> list[Property]:  # noqa: ANN401  # any type
    """Return the properties of an object; `ours` are fields that its documents always have.

    A word with one value (`type`, `object`) is no property: it names the kind of what it stands in. Where a kind occurs
    several times below one field of the document (below the messages of one role), it is taken where it occurs first.
    """
    walk = _Walk(dict(ours or {}))
    found: dict[str, list[Probe]] = {}
    for path, probe in walk.properties("", kind, lambda value: value, ()):
        found.setdefault(path, []).append(probe)
    return [Property(path, tuple(probes)) for path, probes in found.items()]


class _Walk:
    def __init__(self, ours: dict[str, Any]) -> None:
        self._ours = ours
        self._samples = Samples()
        self._numbers = count(70_001)
        self._seen: set[tuple[Any, ...]] = set()

    def properties(self, path: str, kind: Any, build: Build, within: tuple[str, ...]) -> Iterator[tuple[str, Probe]]:  # noqa: ANN401
        """Yield each property of an object with its probes, then those of the objects in it."""
        least = self._least(kind, 0) if path else {**self._least(kind, 0), **self._ours}
        deeper: list[tuple[str, _Option, str]] = []
        for field in _fields(kind):
            where = f"{path}.{field.name}".lstrip(".")
            options = list(self._options(field.hint, 0))
            if not options or _is_tag(field.hint):
                continue
            for number, option in enumerate(options):
                other = self._other(field, options, number, least)
                document = build({**least, field.name: option.value})
                is_empty = option.kind is not None and option.value in ({}, [{}])
                if not is_empty and (other is not None or any(texts_in(option.value))):  # else what is in it counts
                    yield where, Probe(document, None if other is None else build(other), option.value)
                if option.kind is not None:
                    deeper.append((where, option, field.name))
        for where, option, name in deeper:
            first = within[0] if within else where + option.label
            seen = (first if first.startswith(APART) else re.split(r"[\[(]", first)[0], option.kind)
            if seen in self._seen or len(within) > MAX_DEPTH:
                continue
            self._seen.add(seen)
            inner = _placed(build, least, name, option.wrap)
            yield from self.properties(where + option.label, option.kind, inner, (*within, where + option.label))

    def _other(
        self, field: _Field, options: list[_Option], number: int, least: dict[str, Any]
    ) -> dict[str, Any] | None:
        if not field.required and field.name not in self._ours:
            return {name: value for name, value in least.items() if name != field.name}
        others = [option.value for option in options[:number] + options[number + 1 :]]
        return {**least, field.name: others[0]} if others else None

    def _least(self, kind: Any, depth: int) -> dict[str, Any]:  # noqa: ANN401  # any type
        """Return an object with the fields that are required, and those that name its kind."""
        found = {}
        for field in _fields(kind):
            if (field.required or _is_tag(field.hint)) and (option := next(self._options(field.hint, depth + 1), None)):
                found[field.name] = option.value
        return found

    def _options(self, hint: Any, depth: int) -> Iterator[_Option]:  # noqa: ANN401  # any type
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in QUALIFIERS:
            yield from self._options(arguments[0], depth)
        elif origin is Literal:
            yield from (_Option("", word, None, _same) for word in arguments)
        elif origin in (Union, types.UnionType):
            for each in arguments:
                yield from () if each is type(None) else self._options(each, depth)
        elif depth <= MAX_DEPTH:
            yield from self._values(hint, depth)

    def _values(self, hint: Any, depth: int) -> Iterator[_Option]:  # noqa: ANN401  # any type
        origin, arguments = get_origin(hint), get_args(hint)
        if _is_object(hint):
            yield _Option(label_of(hint), self._least(hint, depth), hint, _same)
        elif isinstance(origin, type) and issubclass(origin, Mapping):
            for inner in self._options(arguments[1], depth + 1):
                name = self._samples.of(str)[0]
                yield _Option("{}", {name: inner.value}, inner.kind, _within_name(name, inner.wrap))
        elif isinstance(origin, type) and issubclass(origin, Iterable):
            for inner in self._options(arguments[0], depth + 1):
                yield _Option(f"[{inner.label.strip('()')}]", [inner.value], inner.kind, _within_list(inner.wrap))
        else:
            values = VALUES.get(hint) or self._samples.of(hint)
            yield from (_Option("", value, None, _same) for value in values)


def _same(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    return value


def _within_name(name: str, wrap: Build) -> Build:
    return lambda value: {name: wrap(value)}


def _within_list(wrap: Build) -> Build:
    return lambda value: [wrap(value)]


def _placed(build: Build, least: dict[str, Any], name: str, wrap: Build) -> Build:
    return lambda value: build({**least, name: wrap(value)})


def label_of(kind: Any) -> str:  # noqa: ANN401  # any type
    """Return the word that names an object's kind in parentheses, or nothing."""
    tags = {field.name: field.hint for field in _fields(kind) if _is_tag(field.hint)}
    for name in ("type", "role"):
        if name in tags:
            return f"({_words(tags[name])[0]})"
    return ""


def _is_tag(hint: Any) -> bool:  # noqa: ANN401  # any type
    return len(_words(hint)) == 1


def _words(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401  # any type
    """Return the words that a type allows; nothing when it allows more than words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return arguments
    if origin in QUALIFIERS:
        return _words(arguments[0])
    if origin in (Union, types.UnionType):
        parts = [_words(each) for each in arguments if each is not type(None)]
        return tuple(word for part in parts for word in part) if all(parts) else ()
    return ()


def _is_object(kind: Any) -> bool:  # noqa: ANN401  # any type
    return typing_extensions.is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def _fields(kind: Any) -> list[_Field]:  # noqa: ANN401  # any type
    if not typing_extensions.is_typeddict(kind):
        return [
            _Field(field.alias or name, field.annotation, field.is_required())
            for name, field in kind.model_fields.items()
        ]
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    return [_Field(_alias(hint) or name, hint, get_origin(hint) is REQUIRED) for name, hint in hints.items()]


def _alias(hint: Any) -> str | None:  # noqa: ANN401  # any type
    """Return the name on the wire, where the SDK's own differs."""
    if get_origin(hint) is Annotated:
        return next((each.alias for each in get_args(hint)[1:] if getattr(each, "alias", None)), None)
    inner = get_args(hint)
    return _alias(inner[0]) if get_origin(hint) in QUALIFIERS else None
