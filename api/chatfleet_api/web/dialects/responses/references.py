"""References to items that are stored: each is replaced by its item before anything else reads the request."""

from typing import Any, Final

import msgspec

from chatfleet_api.chat.responses import Responses
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.principal import Principal
from chatfleet_api.web.dialects.responses.ids import read_item_id
from chatfleet_api.web.dialects.responses.items import items_of
from chatfleet_api.web.dialects.responses.output import Form

KIND: Final = "item_reference"
_MARK: Final = f'"{KIND}"'.encode()
_SHOWN: Final = 128
_WHOLE: Final = Form(is_sealed=True)
"""The form of reasoning that has all of it, for the model that wrote it."""


class _Reference(msgspec.Struct, frozen=True):
    type: str | None = None
    id: str | None = None


class _Input(msgspec.Struct, frozen=True):
    input: list[msgspec.Raw]


_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_input: Final = msgspec.json.Decoder(_Input).decode
_reference: Final = msgspec.json.Decoder(_Reference).decode
_OTHERS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Errors of a body that has another form: who reads it as a request reports them."""


async def resolved(raw: bytes, principal: Principal, responses: Responses) -> bytes:
    """Return a body whose input has the items in the place of references to them.

    Raises `ChatError(NOT_FOUND)`, with the field, for an item that is not stored, or no longer.
    """
    if _MARK not in raw:
        return raw
    try:
        fields, items = _fields(raw), _input(raw).input
        references = {at: found for at, item in enumerate(items) if (found := _reference_in(item)) is not None}
    except _OTHERS:
        return raw
    if not references:
        return raw
    given: list[Any] = list(items)
    for at, ident in references.items():
        given[at] = await _item(ident, f"input[{at}].id", principal, responses)
    return msgspec.json.encode({**fields, "input": given})


def _reference_in(item: msgspec.Raw) -> str | None:
    """Return the id that a reference names; None for an item of another kind."""
    if _MARK not in bytes(item):
        return None
    found = _reference(item)
    return found.id or "" if found.type == KIND else None


async def _item(ident: str, param: str, principal: Principal, responses: Responses) -> dict[str, Any]:
    place = read_item_id(ident)
    message = None if place is None else await responses.message(principal, *place)
    if place is not None and message is not None:
        found = next((item for item in items_of(place.conversation, message, _WHOLE) if item["id"] == ident), None)
        if found is not None:
            return found
    text = f"The item {ident[:_SHOWN]!r} is not stored, or no longer. Send the item itself, or remove it."
    raise ChatError(Code.NOT_FOUND, text, param=param)
