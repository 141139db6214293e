"""What the load client and the upstream agree on: what is asked for, and the mark by which a token is known again.

The last message of a request says what to stream, so that it passes unchanged through everything under test. A token
carries the moment at which the upstream sent it, so that its delay shows wherever it arrives, in any dialect.
"""

import re
import time
from typing import Final, NamedTuple

MODEL: Final = "bench"
"""The one model of every subject."""
MARK: Final = b"~"
"""Begins each token; nothing else on the wire holds it."""
MARKED: Final = re.compile(rb"~(\d{15})")
"""A token: the mark, then microseconds of the system's monotonic clock."""
MARK_BYTES: Final = 16
_WORKLOAD: Final = re.compile(r"(\d+) tokens at (\d+) per second")


class Workload(NamedTuple):
    """What one stream consists of."""

    tokens: int
    rate: int = 0
    """Tokens per second; 0: as fast as they can be sent."""

    def ask(self) -> str:
        """Return the message that asks for this."""
        return f"{self.tokens} tokens at {self.rate} per second"


def asked(message: str) -> Workload:
    """Return what a message asks for; raises `ValueError` when that is nothing."""
    found = _WORKLOAD.fullmatch(message)
    if found is None:
        raise ValueError(f"the last message is not a workload: {message!r}")
    return Workload(int(found[1]), int(found[2]))


def microseconds() -> int:
    """Return the time of the clock that all processes of this machine share."""
    return time.monotonic_ns() // 1000
