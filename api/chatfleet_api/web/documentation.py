"""The OpenAPI document: FastAPI writes most of it, and the bodies that msgspec reads and writes are described here."""

from typing import Any, Final

import msgspec
from fastapi import FastAPI

from chatfleet_api.web.dialects.native import bodies as native
from chatfleet_api.web.dialects.openai.encode import VendorErrorBody
from chatfleet_api.web.dialects.openai.request import ChatCompletionBody
from chatfleet_api.web.dialects.responses.request import ResponseBody

_REF: Final = "#/components/schemas/{name}"
_BODIES: Final = (
    ChatCompletionBody,
    ResponseBody,
    VendorErrorBody,
    native.NewConversationBody,
    native.SendMessageBody,
    native.ConversationBody,
    native.ConversationWithMessages,
    native.ConversationList,
    native.MessageList,
    native.MessageReply,
    native.CancelBody,
    native.ErrorBody,
)


def takes(body: type[msgspec.Struct], *, required: bool = True) -> dict[str, Any]:
    """Return the part of an operation that describes its body."""
    return {"requestBody": {"required": required, "content": _json(body)}}


def returns(body: type[msgspec.Struct], status: int = 200) -> dict[str, Any]:
    """Return the part of an operation that describes its answer."""
    return {"responses": {str(status): {"content": _json(body)}}}


def fails(body: type[msgspec.Struct]) -> dict[int | str, dict[str, Any]]:
    """Return the description of every failure, as the `responses` of a router."""
    return {"default": {"description": "What went wrong, and what to do about it.", "content": _json(body)}}


def document(app: FastAPI, streamed: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Complete the app's OpenAPI document by our bodies, and by the operations (by method and path) not its own."""
    written_by_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        whole = written_by_fastapi()
        _, schemas = msgspec.json.schema_components(_BODIES, ref_template=_REF)
        whole.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
        for (method, path), operation in streamed.items():
            whole["paths"].setdefault(path, {})[method] = operation
        return whole

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _json(body: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=body.__name__)}}}
