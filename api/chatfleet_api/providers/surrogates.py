"""Characters of which an upstream sends the halves in two pieces of an answer, put together. Pure.

JSON may escape a character above U+FFFF as two halves, a surrogate pair. Servers that cut text by UTF-16 code units end
one piece with the first half and begin the next with the second. Strict decoders reject both pieces.
"""

import re
from typing import Final

from chatfleet_api.domain.events import Extended, Piece, Reasoning, Token, ToolCall
from chatfleet_api.providers.provider import Finish, StreamItem

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def replaced(text: str) -> str:
    """Return `text` with whole characters: pairs are joined, and halves that stand alone are replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Halves:
    """Makes the texts of one answer whole, where a half at the end of a piece waits for the next piece of its kind."""

    __slots__ = ("_held", "_kind")

    def __init__(self) -> None:
        self._kind: type[StreamItem] = Token
        self._held: dict[int, str] = {}
        """The first half of a character, by the index of the tool call; 0 in text and reasoning."""

    def join(self, items: list[StreamItem], start: int, *, is_last: bool = False) -> None:
        """Make the texts in `items[start:]` whole; nothing is held back when they are the last."""
        pieces = items[start:]
        del items[start:]
        for piece in pieces:
            if isinstance(piece, Extended):
                items.append(piece)
                continue
            if type(piece) is not self._kind:
                self._release(items)
                self._kind = type(piece)
            if isinstance(piece, Finish):
                items.append(piece)
            else:
                items += self._joined(piece)
        if is_last:
            self._release(items)

    def _joined(self, piece: Piece) -> list[Piece]:
        index = piece.index if isinstance(piece, ToolCall) else 0
        text = self._held.pop(index, "") + (piece.arguments if isinstance(piece, ToolCall) else piece.text)
        if "\ud800" <= text[-1:] <= "\udbff":
            self._held[index] = text[-1]
            text = text[:-1]
        if isinstance(piece, ToolCall):
            is_empty = not text and piece.id is None
            return [] if is_empty else [ToolCall(index, piece.id, piece.name, replaced(text), custom=piece.custom)]
        if isinstance(piece, Reasoning):
            is_empty = not text and piece.signature is None
            return [] if is_empty else [Reasoning(replaced(text), piece.field, piece.signature)]
        return [Token(replaced(text))] if text else []

    def _release(self, items: list[StreamItem]) -> None:
        """Replace the halves that wait: the other ones did not come."""
        for index in self._held:
            kind = self._kind
            items.append(ToolCall(index, arguments=REPLACEMENT) if kind is ToolCall else _text(kind))
        self._held.clear()


def _text(kind: type[StreamItem]) -> Piece:
    return Reasoning(REPLACEMENT) if kind is Reasoning else Token(REPLACEMENT)


def halves_of(payload: bytes) -> Halves | None:
    """Return what makes an answer whole from `payload` on; None: this payload has no half of a character."""
    return Halves() if _ESCAPE.search(payload) else None
