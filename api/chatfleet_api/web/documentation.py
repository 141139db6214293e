"""The OpenAPI document: FastAPI writes most of it, and the bodies that msgspec reads and writes are described here."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from chatfleet_api.web.hot_route import HotRoute

_REF: Final = "#/components/schemas/{name}"


def takes(body: type[msgspec.Struct], *, required: bool = True) -> dict[str, Any]:
    """Return the part of an operation that describes its body."""
    return {"requestBody": {"required": required, "content": _json(body)}}


def returns(body: type[msgspec.Struct], status: int = 200) -> dict[str, Any]:
    """Return the part of an operation that describes its answer."""
    return {"responses": {str(status): {"content": _json(body)}}}


def fails(body: type[msgspec.Struct]) -> dict[int | str, dict[str, Any]]:
    """Return the description of every failure, as the `responses` of a router."""
    return {"default": {"description": "An error.", "content": _json(body)}}


def document(app: FastAPI, hot: Sequence[HotRoute], *, bodies: Sequence[type[msgspec.Struct]]) -> None:
    """Complete the app's OpenAPI document by `bodies` and the operations of `hot` routes."""
    written_by_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        whole = written_by_fastapi()
        _, schemas = msgspec.json.schema_components(bodies, ref_template=_REF)
        whole.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
        for route in hot:
            whole["paths"].setdefault(route.path, {})[route.method] = route.operation
        return whole

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _json(body: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=body.__name__)}}}
