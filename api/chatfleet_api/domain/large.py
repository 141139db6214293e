"""Work on large data that leaves the event loop free, so that the streams of the pod go on meanwhile."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

LARGE_BYTES: Final = 256 << 10
"""From here on a thread costs less than the wait of all streams."""
PIECE_BYTES: Final = 48 << 10
"""Of data in one call that holds the lock of the interpreter: a multiple of 3, so that pieces of base64 add up."""

_PIECE_CHARACTERS: Final = PIECE_BYTES // 3 * 4

Given = ParamSpec("Given")
Made = TypeVar("Made")


async def off_loop(size: int, work: Callable[Given, Made], *given: Given.args, **named: Given.kwargs) -> Made:
    """Return what `work` on `size` bytes returns. In a thread, if they are many: it must change nothing shared."""
    if size < LARGE_BYTES:
        return work(*given, **named)
    return await asyncio.to_thread(work, *given, **named)


def to_base64(data: bytes) -> str:
    """Return the base64 of data, made in pieces."""
    return "".join(b64encode(data[at : at + PIECE_BYTES]).decode() for at in range(0, len(data), PIECE_BYTES))


def from_base64(text: str) -> bytes:
    """Return the data of base64, read in pieces; raises `ValueError` for any other text."""
    if text.find("=", 0, -2) != -1:
        raise ValueError("padding before the end")
    pieces = (text[at : at + _PIECE_CHARACTERS] for at in range(0, len(text), _PIECE_CHARACTERS))
    return b"".join(b64decode(piece, validate=True) for piece in pieces)
