"""The OpenAPI document: FastAPI writes most of it, and the bodies that msgspec reads and writes are described here."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from chatfleet_api.web.hot_route import HotRoute

_REF: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"


def takes(body: type[msgspec.Struct], *, required: bool = True) -> dict[str, Any]:
    """Return the part of an operation that describes its body."""
    return {"requestBody": {"required": required, "content": _json(body)}}


def returns(
    body: type[msgspec.Struct] | type[dict[str, Any]] | None,
    status: int = 200,
    *,
    description: str | None = None,
    streams: bool = False,
) -> dict[int | str, dict[str, Any]]:
    """Return the description of a success, for the `responses` of an operation.

    The answer is the JSON of `body` (`dict`: any object, None: no JSON) or, with `streams`, server-sent events.
    """
    content = ({} if body is None else _json(body)) | ({_EVENTS: {}} if streams else {})
    return {str(status): ({} if description is None else {"description": description}) | {"content": content}}


def fails(body: type[msgspec.Struct]) -> dict[int | str, dict[str, Any]]:
    """Return the description of every failure, as the `responses` of a router."""
    return {"default": {"description": "An error.", "content": _json(body)}}


def document(app: FastAPI, hot: Sequence[HotRoute], *, bodies: Sequence[type[msgspec.Struct]]) -> None:
    """Complete the app's OpenAPI document by `bodies` and the operations of `hot` routes.

    Schemas have the names of their classes; the names of classes that share one are qualified by their modules.
    """
    written_by_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        whole = written_by_fastapi()
        references, schemas = msgspec.json.schema_components(bodies, ref_template=_REF)
        final = {_reference(body): known["$ref"] for body, known in zip(bodies, references, strict=True)}
        whole.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
        for route in hot:
            whole["paths"].setdefault(route.path, {})[route.method] = route.operation
        whole["paths"] = _replaced(whole["paths"], final)
        return whole

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _json(body: type[msgspec.Struct] | type[dict[str, Any]]) -> dict[str, Any]:
    return {_JSON: {"schema": {"type": "object"} if body is dict else {"$ref": _reference(body)}}}


def _reference(body: type) -> str:
    """Return what stands for the schema of `body` until the names of all bodies are known."""
    return _REF.format(name=f"{body.__module__}.{body.__qualname__}")


def _replaced(part: Any, references: Mapping[str, str]) -> Any:  # noqa: ANN401  # any JSON value
    """Return a part of the document with its `references` replaced."""
    if isinstance(part, list):
        return [_replaced(item, references) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: references.get(value, value) if key == "$ref" else _replaced(value, references)
        for key, value in part.items()
    }
