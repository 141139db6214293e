"""Items that a request brings, each with its text as it came."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from chatfleet_api.chat.items import InputMessage, NewItem, messages_of


class _Input(msgspec.Struct):
    input: list[msgspec.Raw] | None = None
    items: list[msgspec.Raw] | None = None


_INPUT: Final = msgspec.json.Decoder(_Input)


def read_items(sent: Sequence[InputMessage], raw: bytes, *, where: str = "input") -> Iterator[NewItem]:
    """Yield the items that the body `raw` has in its field `where` (`input` or `items`).

    Raises `ChatError(INVALID_REQUEST)`, with the field, for an item that no model can get.
    """
    texts: Sequence[msgspec.Raw] = getattr(_INPUT.decode(raw), where)
    for message, text in zip(messages_of(sent, where=where), texts, strict=True):
        yield NewItem(message, bytes(text).decode())
