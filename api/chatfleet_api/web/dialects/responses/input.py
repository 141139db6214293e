"""Items that a request brings, each with its text as it came."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from chatfleet_api.chat.items import NewItem, new_item
from chatfleet_api.web.body import invalid, limit_depth


class _Input(msgspec.Struct):
    input: list[msgspec.Raw] | None = None
    items: list[msgspec.Raw] | None = None


_INPUT: Final = msgspec.json.Decoder(_Input)
_item: Final = msgspec.json.Decoder(dict[str, Any]).decode


def read_items(raw: bytes, *, where: str = "input") -> Iterator[NewItem]:
    """Yield the items that the body `raw`, which is valid JSON, has in its field `where` (`input` or `items`).

    Raises `ChatError(INVALID_REQUEST)`, with the field, for an item in a form that its type does not have.
    """
    texts: list[msgspec.Raw] = getattr(_INPUT.decode(raw), where)
    for position, text in enumerate(texts):
        place = f"{where}[{position}]"
        try:
            item = _item(text)
            limit_depth(item, place)
            yield new_item(item, bytes(text).decode(), place)
        except msgspec.ValidationError as wrong:
            raise invalid(wrong, place) from None
