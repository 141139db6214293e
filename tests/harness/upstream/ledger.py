"""What an upstream remembers of each call: the truth that clients' claims are measured against."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

CallEnding: TypeAlias = Literal["open", "whole", "fault", "closed"]
"""Still going on; told as whole; ended by a scripted fault; closed by the other side."""


class Call(msgspec.Struct):
    """One call of the upstream. Times are seconds of the machine's monotonic clock, alike in all processes."""

    key: str
    attempt: int
    """From 0, per key."""
    began: float
    model: str = ""
    after: int = 0
    """Characters that the answer already had."""
    tokens: int = 0
    """Sent so far."""
    ending: CallEnding = "open"
    ended: float | None = None

    def end(self, ending: CallEnding, now: float) -> None:
        """Remember how the call ended; the first word counts."""
        if self.ending == "open":
            self.ending, self.ended = ending, now


class Ledger:
    """All calls, by the key of their question, in order of arrival."""

    def __init__(self) -> None:
        self._calls: defaultdict[str, list[Call]] = defaultdict(list)

    def begin(self, key: str, now: float) -> Call:
        """Note that a call has come."""
        call = Call(key, len(self._calls[key]), now)
        self._calls[key].append(call)
        return call

    def attempts(self, key: str) -> int:
        """Return how many calls there were for this question."""
        return len(self._calls.get(key, ()))

    def calls(self, keys: Iterable[str]) -> dict[str, list[Call]]:
        """Return the calls for these questions, none for one that never came."""
        return {key: self._calls.get(key, []) for key in keys}
