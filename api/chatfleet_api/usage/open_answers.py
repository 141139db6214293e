"""Answers under way that no log has: what another pod needs to count one of them if this pod dies.

A look at each is written beside the sums, first when its provider has accepted it, then every second while it grows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import msgspec

from chatfleet_api.domain.errors import Code
from chatfleet_api.usage.attempts import Attempt
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.record import Consumer, UsageRecord, charges_of

FIRST_LOOK_SECONDS: Final = 0.25
"""Shorter answers are never written."""
LOOK_SECONDS: Final = 1.0
"""So much of an answer is lost at most."""
MOST_WRITTEN: Final = 500
"""In one batch, so that the script takes Redis no more than some milliseconds."""


class OpenAnswer(msgspec.Struct, frozen=True, array_like=True):
    """What an answer under way has used."""

    run: str
    tenant: str
    consumer: Consumer
    attempts: tuple[Attempt, ...]
    """The one under way is the last, with an estimate."""

    def record(self, prices: PriceBook, at: datetime) -> UsageRecord:
        """Return what is counted if its pod has died."""
        charges = charges_of(self.attempts, prices, at)
        day = at.date().isoformat()
        return UsageRecord(self.run, self.tenant, self.consumer, day, Code.INTERRUPTED, charges)


Look = Callable[[], OpenAnswer | None]
"""Returns what an answer has used so far; None: nothing that is paid."""
_encode: Final = msgspec.json.Encoder().encode
decoded: Final = msgspec.json.Decoder(OpenAnswer).decode


class _Entry:
    """An answer, and what was last written of it."""

    __slots__ = ("at", "look", "written")

    def __init__(self, look: Look, at: float) -> None:
        self.look = look
        self.at = at
        self.written: str | None = None


class OpenAnswers:
    """The answers of one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    @contextmanager
    def following(self, run: str, look: Look, ended: Callable[[str], None]) -> Iterator[None]:
        """Follow an answer within the block; call `ended` after it if the answer was written and not closed."""
        self._entries[run] = _Entry(look, self._clock() + FIRST_LOOK_SECONDS)
        try:
            yield
        finally:
            if self.close(run):
                ended(run)

    def close(self, run: str) -> bool:
        """Follow it no more; return whether it was written."""
        entry = self._entries.pop(run, None)
        return entry is not None and entry.written is not None

    def news(self) -> dict[str, str]:
        """Return the answers that have to be written, as they are now."""
        found: dict[str, str] = {}
        now = self._clock()
        for run, entry in self._entries.items():
            if now < entry.at:
                continue
            if len(found) == MOST_WRITTEN:
                break
            seen = entry.look()
            entry.at = now + (FIRST_LOOK_SECONDS if seen is None else LOOK_SECONDS)
            if seen is not None and (text := _encode(seen).decode()) != entry.written:
                entry.written = found[run] = text
        return found

    def forget(self, run: str) -> None:
        """Follow it no more: another pod has counted it."""
        self._entries.pop(run, None)
