"""What a fault proxy does to connections, and to their bytes. Pure."""

from collections.abc import Iterator
from typing import Final

import msgspec

_SLICES: Final = 20
"""Pieces in which the bytes of one second arrive on a slow line."""


class Toxics(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happens to the bytes of one direction."""

    latency: float = 0.0
    """Seconds that everything takes longer."""
    bytes_per_second: float | None = None
    cut_after: int | None = None
    """Bytes of a connection, counted from its beginning, after which it is reset."""
    corrupt_every: int | None = None
    """Of so many bytes of a connection, the last has all its bits turned."""
    swallow: bool = False
    """Everything is taken, and nothing comes out: a black hole."""
    lose: bool = False
    """The next bytes are lost, and all connections of the proxy with them; then it is healthy."""


class Faults(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happens to the connections of a proxy, to the open ones too."""

    up: Toxics = Toxics()
    """Towards the server."""
    down: Toxics = Toxics()
    """Towards the client."""
    refuse: bool = False
    """New connections are refused; open ones go on."""


HEALTHY: Final = Faults()
BLACKHOLE: Final = Faults(up=Toxics(swallow=True), down=Toxics(swallow=True))
LOSING: Final = Faults(down=Toxics(lose=True))
REFUSING: Final = Faults(refuse=True)


def corrupted(data: bytes, before: int, every: int | None) -> bytes:
    """Return `data`, which follows `before` bytes, with every so many-th byte's bits turned."""
    if every is None:
        return data
    changed = bytearray(data)
    for index in range(every - 1 - before % every, len(changed), every):
        changed[index] ^= 0xFF
    return bytes(changed)


def pieces(data: bytes, toxics: Toxics) -> Iterator[bytes]:
    """Yield `data` in the pieces in which a slow line brings it."""
    size = len(data) if toxics.bytes_per_second is None else max(1, int(toxics.bytes_per_second / _SLICES))
    yield from (data[start : start + size] for start in range(0, len(data), size or 1))
