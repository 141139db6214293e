"""An answer as it is kept: what its provider brought, in as few pieces as that takes, and its finish. Pure."""

from io import StringIO
from typing import Final

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.events import Agent, Extended, Piece, Reasoning, Token, ToolCall, Usage
from chatfleet_api.providers.provider import Finish, ItemBatch

MAX_BYTES: Final = 256 * 1024
"""Of one answer."""


class Answer(msgspec.Struct, frozen=True):
    """A whole answer."""

    items: tuple[Token | Reasoning | ToolCall | Extended, ...]
    finish: Finish

    @property
    def usage(self) -> Usage:
        """What it took once, marked as cached."""
        return replace(self.finish.usage, cached=True)

    def replayed(self) -> ItemBatch:
        """Return it as its provider would bring it now."""
        return (*self.items, replace(self.finish, usage=self.usage))


_decode: Final = msgspec.json.Decoder(Answer).decode


def read_answer(kept: bytes) -> Answer | None:
    """Return what was kept; None if another version has kept it, in a form that is not known here."""
    try:
        return _decode(kept)
    except msgspec.MsgspecError:
        return None


class Recorder:
    """Puts an answer together while it streams, and gives up when it becomes too large."""

    __slots__ = ("_finish", "_items", "_left", "_text")

    def __init__(self) -> None:
        self._items: list[Token | Reasoning | ToolCall | Extended] = []
        self._text = StringIO()
        self._finish: Finish | None = None
        self._left = MAX_BYTES

    def take(self, batch: ItemBatch) -> None:
        """Add what one read has brought."""
        if self._left < 0:
            return
        for item in batch:
            if isinstance(item, Token):
                self._text.write(item.text)
                self._left -= len(item.text)
            elif isinstance(item, Finish):
                self._finish = item
            elif not isinstance(item, Agent):
                self._end_text()
                self._items.append(item)
                self._left -= _size(item)
        if self._left < 0:
            self._items.clear()
            self._text = StringIO()

    def kept(self, provider: str, upstream_model: str) -> bytes | None:
        """Return the answer as it is kept; None: it may not be.

        It must be whole by the model's own decision, and be the named model's: that of a fallback is not the answer of
        the model that was requested.
        """
        end = self._finish
        if end is None or end.reason != "stop" or self._left < 0:
            return None
        self._end_text()
        if not self._items or (end.provider, end.upstream_model) != (provider, upstream_model):
            return None
        encoded = msgspec.json.encode(Answer(tuple(self._items), end))
        return encoded if len(encoded) <= MAX_BYTES else None

    def _end_text(self) -> None:
        if text := self._text.getvalue():
            self._items.append(Token(text))
            self._text = StringIO()


def _size(item: Piece | Extended) -> int:
    if isinstance(item, Extended):
        return len(bytes(item.extra)) + sum(map(_size, item.pieces))
    return len(item.arguments) if isinstance(item, ToolCall) else len(item.text)
