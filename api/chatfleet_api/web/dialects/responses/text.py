"""The form of a response's text: free, a JSON object, or JSON of a given schema."""

from typing import Annotated, Any, Final, TypeAlias

import msgspec

from chatfleet_api.web.body import limit_depth

_Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class PlainFormat(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """Free text."""


class JSONObjectFormat(msgspec.Struct, frozen=True, tag_field="type", tag="json_object"):
    """A JSON object of any shape."""


class JSONSchemaFormat(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="json_schema"):
    """JSON of a given shape."""

    name: _Name
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form of the text."""

    format: PlainFormat | JSONObjectFormat | JSONSchemaFormat | None = None
    verbosity: Any = None  # of which `request.py` knows the values that are accepted


PLAIN: Final = {"type": "text"}


def response_format(text: TextOptions | None) -> dict[str, Any] | None:
    """Return the form as a `ChatRequest` has it; raises `ChatError(INVALID_REQUEST)` when the schema is too deep."""
    match text and text.format:
        case JSONObjectFormat():
            return {"type": "json_object"}
        case JSONSchemaFormat() as given:
            limit_depth(given.schema, "text.format.schema")
            schema: dict[str, Any] = {name: value for name, value in shown(text).items() if name != "type"}
            return {"type": "json_schema", "json_schema": schema}
        case _:
            return None


def shown(text: TextOptions | None) -> dict[str, Any]:
    """Return the format as the response shows it."""
    if text is None or text.format is None:
        return dict(PLAIN)
    form: dict[str, Any] = msgspec.to_builtins(text.format)
    return form
