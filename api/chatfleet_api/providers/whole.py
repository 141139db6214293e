"""Answers that come as one JSON document instead of a stream: its bytes become the payloads of a stream.

So one parser reads both, and everything behind it sees the same items.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from typing import Final, TypeVar

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Extended, ToolCall
from chatfleet_api.domain.usage_estimate import BYTES_PER_TOKEN
from chatfleet_api.providers.provider import Finish, ItemBatch, StreamItem
from chatfleet_api.providers.upstream_errors import clean
from chatfleet_api.providers.vendor import StreamParser

MAX_WHOLE_BYTES: Final = 32 << 20
"""Far above any answer, also with images in it."""
MEDIA_TYPE: Final = "application/json"

_T = TypeVar("_T")
_CUT: Final = "Input data was truncated"
"""The message of msgspec for a document that ends too early."""


class WholeFraming:
    """Collects a response until its end, and returns the payloads that `events_of` makes of it."""

    def __init__(self, events_of: Callable[[bytes], list[bytes]]) -> None:
        self._events_of = events_of
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; nothing marks the end.

        Raises `ChatError(UPSTREAM_MALFORMED)` when the response exceeds `MAX_WHOLE_BYTES` or is not an answer.
        """
        if not data:
            return self._events_of(b"".join(self._parts))
        self._parts.append(data)
        self._size += len(data)
        if self._size > MAX_WHOLE_BYTES:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail=f"the answer exceeds {MAX_WHOLE_BYTES} bytes")
        return []


async def requested_once(
    batches: AsyncGenerator[ItemBatch, None], total_seconds: float
) -> AsyncGenerator[ItemBatch, None]:
    """Yield `batches`; an answer that took its whole time without an end is not requested, and paid, again."""
    time = asyncio.get_running_loop().time
    ends = time() + total_seconds
    async with aclosing(batches):
        try:
            async for items in batches:
                yield items
        except ChatError as error:
            error.final = error.code is Code.UPSTREAM_TIMEOUT and time() >= ends
            raise


def decoder(kind: type[_T]) -> Callable[[bytes], _T]:
    """Return a function that decodes a whole response; it raises `ChatError` if the response is cut or not JSON."""
    decode = msgspec.json.Decoder(kind).decode

    def decoded(document: bytes) -> _T:
        try:
            return decode(document)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if str(error) == _CUT:
                raise ChatError(Code.UPSTREAM_TRUNCATED, detail="the answer ends within its JSON") from error
        try:
            return decode(_tolerated(document))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"not an answer in JSON: {error}")) from error

    return decoded


def _tolerated(document: bytes) -> bytes:
    """Return `document` as strict JSON: texts with half a surrogate pair, bytes that are not UTF-8, bare controls."""
    text = json.dumps(json.loads(document.decode("utf-8-sig", "replace"), strict=False), ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


class WholeParser:
    """Parses the payloads of a whole answer, whose output, without the provider's usage, is estimated by its length."""

    def __init__(self, parser: StreamParser) -> None:
        """Read with `parser`, whose estimate counts pieces: a whole answer is a single one."""
        self._parser = parser
        self.has_begun = False
        """Whether the document is an answer, or an error in its place."""
        self.pieces = 0
        self._size = 0

    @property
    def done(self) -> bool:
        """Whether the `Finish` has been appended."""
        return self._parser.done

    @property
    def left_out(self) -> Collection[str]:
        """What the parser leaves out."""
        return self._parser.left_out

    @property
    def is_ending(self) -> bool:
        """A document ends with its response."""
        return False

    @property
    def is_holding(self) -> bool:
        """A document comes at once."""
        return False

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what the payload brings."""
        self.has_begun = True
        before = len(items)
        self._parser.read(payload, items)
        self._size += sum(len(_text(item).encode()) for item in items[before:])
        self.pieces = self._parser.pieces = -(-self._size // BYTES_PER_TOKEN)

    def end(self) -> Finish:
        """Return the finish of a response that ends here."""
        return self._parser.end()


def _text(item: StreamItem) -> str:
    if isinstance(item, Finish):
        return ""
    if isinstance(item, Extended):
        return "".join(map(_text, item.pieces))
    return item.arguments if isinstance(item, ToolCall) else item.text
