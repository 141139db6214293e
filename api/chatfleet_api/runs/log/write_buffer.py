"""What a pod has yet to write of one run: batches that gather, become entries, and wait for Redis."""

from typing import Final, NamedTuple

import msgspec

from chatfleet_api.domain.events import Batch
from chatfleet_api.runs.log.interface import Producer
from chatfleet_api.runs.tail import joined

_encoder: Final = msgspec.json.Encoder()


class Entry(NamedTuple):
    """One entry of a run's stream: events up to number `last`, encoded."""

    last: int
    terminal: bool
    payload: bytes


class WriteBuffer:
    """What is not yet written of one run, under one fence."""

    __slots__ = ("by", "entries", "fresh", "keys", "last", "lossy", "owner", "stored")

    def __init__(self, owner: tuple[str, str], keys: tuple[str, str], by: Producer | None) -> None:
        self.owner = owner
        self.keys = keys
        self.by = by
        self.fresh: list[Batch] = []
        self.entries: list[Entry] = []
        self.last = 0
        self.stored = 0
        self.lossy = False

    def encode(self) -> int:
        """Make one entry of what is fresh; returns its size in bytes."""
        if not self.fresh:
            return 0
        batch = joined(self.fresh)
        self.fresh = []
        self.entries.append(Entry(batch.last, batch.terminal, _encoder.encode(batch)))
        return len(self.entries[-1].payload)

    @property
    def epoch(self) -> str | int:
        """The producer's epoch, empty for a run that nobody takes over."""
        return "" if self.by is None else self.by.fence.epoch

    def publish_committed(self, seq: int) -> None:
        """Let readers have what came up to `seq`."""
        if self.by is not None:
            self.by.publish_committed(seq)

    def drop_unsent(self) -> int:
        """Forget what is unwritten, but for the end; returns the bytes that frees."""
        before = sum(len(entry.payload) for entry in self.entries)
        self.entries = [entry for entry in self.entries if entry.terminal]
        self.lossy = True
        return before - sum(len(entry.payload) for entry in self.entries)
