"""Values of a vendor's SDK's own types, each text in them unique, so that a test can follow it to the other end."""

import itertools
import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typing_extensions
from pydantic import BaseModel

MAX_DEPTH = 8
MAX_SAMPLES = 60
"""Of one type: each alternative of each field once."""


class Samples:
    """Makes values of types: dictionaries of typed dictionaries and of models, one for each alternative."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def of(self, hint: Any, depth: int = 0) -> list[Any]:  # noqa: ANN401  # any type
        """Return values of a type, one for each alternative; nothing for what JSON does not have."""
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in (Annotated, typing_extensions.Required, typing_extensions.NotRequired):
            return self.of(arguments[0], depth)
        if origin is Literal:
            return list(arguments)
        if origin in (Union, types.UnionType):
            return [value for each in arguments if each is not type(None) for value in self.of(each, depth)]
        if depth > MAX_DEPTH:
            return []
        if isinstance(origin, type):
            return self._collections(origin, arguments, depth + 1)
        return self._plain(hint) if isinstance(hint, type) and not _is_object(hint) else self._objects(hint, depth)

    def _collections(self, origin: type, arguments: tuple[Any, ...], depth: int) -> list[Any]:
        if issubclass(origin, Mapping):
            return [{self._text(): value} for value in self.of(arguments[1], depth)[:1]]
        return [[value] for value in self.of(arguments[0], depth)] if issubclass(origin, Iterable) else []

    def _text(self) -> str:
        return f"s{next(self._numbers):06d}"

    def _plain(self, hint: type) -> list[Any]:
        if issubclass(hint, str):
            return [self._text()]
        if issubclass(hint, bool):
            return [True]
        if issubclass(hint, int):
            return [1]
        if issubclass(hint, float):
            return [0.5]
        if issubclass(hint, date | datetime):
            return ["2026-01-01T00:00:00Z"]
        return [{self._text(): [self._text()]}] if hint in (object, dict) else []

    def _objects(self, kind: Any, depth: int) -> list[Any]:  # noqa: ANN401  # any type
        if not _is_object(kind):
            return [{self._text(): 1}]
        values = {name: self.of(hint, depth + 1) for name, hint in _hints(kind).items()}
        least = {name: options[0] for name, options in values.items() if options}
        others = [{**self._renewed(least), name: option} for name, options in values.items() for option in options[1:]]
        return [least, *others][:MAX_SAMPLES]

    def _renewed(self, value: Any) -> Any:  # noqa: ANN401  # any JSON value
        """Return the same value with other texts."""
        if isinstance(value, dict):
            return {name: self._renewed(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._renewed(inner) for inner in value]
        return self._text() if is_unique(value) else value


def is_unique(value: object) -> bool:
    """Return whether `value` is a text that was made here."""
    return isinstance(value, str) and len(value) == len("s000000") and value[0] == "s" and value[1:].isdigit()


def texts_in(value: Any) -> Iterator[str]:  # noqa: ANN401  # any JSON value
    """Yield the unique texts in a JSON value, also those that are names."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from texts_in(name)
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
    elif is_unique(value):
        yield value


def _is_object(kind: Any) -> bool:  # noqa: ANN401  # any type
    return typing_extensions.is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401  # any type
    if typing_extensions.is_typeddict(kind):
        return typing_extensions.get_type_hints(kind)
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
