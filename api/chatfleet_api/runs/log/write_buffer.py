"""What a pod has yet to write of one run: batches that gather, become entries, and wait for Redis."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from chatfleet_api.domain.ids import RunKey
from chatfleet_api.runs.log.interface import Producer
from chatfleet_api.runs.tail import Batch, merged

_encoder: Final = msgspec.json.Encoder()


class Entry(NamedTuple):
    """One entry of a run's stream: events up to number `last`, encoded."""

    last: int
    terminal: bool
    payload: bytes


class WriteBuffer:
    """What is not yet written of one run, under one fencing token."""

    __slots__ = ("entries", "fresh", "keys", "last", "lossy", "producer", "run", "stored")

    def __init__(self, run: RunKey, keys: tuple[str, str], producer: Producer | None) -> None:
        self.run = run
        self.keys = keys
        """Of the run's events and of its record."""
        self.producer = producer
        self.fresh: list[Batch] = []
        self.entries: list[Entry] = []
        self.last = 0
        self.stored = 0
        self.lossy = False
        """Whether something was dropped, because Redis was unreachable for too long."""

    @property
    def epoch(self) -> str | int:
        """The producer's epoch, empty for a run of this pod alone."""
        return "" if self.producer is None else self.producer.fence.epoch

    def append(self, batch: Batch) -> None:
        self.fresh.append(batch)
        self.last = batch.last

    def encode(self) -> int:
        """Make one entry of what is fresh; returns its size in bytes."""
        if not self.fresh:
            return 0
        batch = merged(self.fresh)
        self.fresh = []
        self.entries.append(Entry(batch.last, batch.terminal, _encoder.encode(batch)))
        return len(self.entries[-1].payload)

    def publish_committed(self, seq: int) -> None:
        """Let the producer show readers what came up to `seq`."""
        if self.producer is not None:
            self.producer.publish_committed(seq)

    def drop_unwritten(self) -> int:
        """Drop every entry but the terminal one; returns the bytes that frees."""
        before = _size(self.entries)
        self.entries = [entry for entry in self.entries if entry.terminal]
        self.lossy = True
        return before - _size(self.entries)

    def fence_off(self, last_seq: int) -> int:
        """Stop the producer, since another pod goes on after `last_seq`; returns the bytes that frees."""
        self.stored = self.last
        if self.producer is not None:
            self.producer.fence_off(last_seq)
        return _size(self.entries)


def _size(entries: Iterable[Entry]) -> int:
    return sum(len(entry.payload) for entry in entries)
