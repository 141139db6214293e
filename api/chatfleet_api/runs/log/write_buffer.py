"""What a pod has yet to write of its runs: batches that gather, become entries, and wait for Redis."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from chatfleet_api.domain.ids import RunKey
from chatfleet_api.runs.log.interface import Producer
from chatfleet_api.runs.tail import Batch, merged
from chatfleet_api.usage.settlement import Settlement
from chatfleet_api.webhooks.event import Notice

MAX_BUFFERED_BYTES: Final = 32 * 1024 * 1024
"""Encoded events that a pod keeps while Redis is unreachable: about a million tokens."""

logger = logging.getLogger(__name__)
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

    @property
    def settlement(self) -> Settlement | None:
        """What the end of the run adds to the ledger."""
        return None if self.producer is None else self.producer.settlement

    @property
    def notice(self) -> Notice | None:
        """What the end of the run queues for webhooks."""
        return None if self.producer is None else self.producer.notice

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


class WriteBuffers:
    """The write buffers of all runs of a pod, and the bound on their size.

    Beyond `MAX_BUFFERED_BYTES` the run that wants more loses what is unwritten of it.
    """

    def __init__(self) -> None:
        self._buffers: dict[RunKey, WriteBuffer] = {}
        """Of the runs that have not ended."""
        self._pending: dict[WriteBuffer, None] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """Return the number of runs of which something is unwritten."""
        return len(self._pending)

    def find(self, tenant: str, run: str) -> WriteBuffer | None:
        return self._buffers.get((tenant, run))

    def append(self, buffer: WriteBuffer, batch: Batch) -> None:
        """Add a batch to a buffer, which is from now on the one of its run."""
        self._buffers[buffer.run] = buffer
        buffer.append(batch)
        self._pending[buffer] = None

    def encode(self) -> None:
        """Make entries of all batches, as far as there is space."""
        for buffer in self._pending:
            self._bytes += buffer.encode()
            if self._bytes > MAX_BUFFERED_BYTES:
                if not buffer.lossy:
                    logger.error("Redis was unreachable for too long: the log of run %s has a gap", buffer.run[1])
                self._bytes -= buffer.drop_unwritten()

    def unwritten(self) -> Iterator[tuple[WriteBuffer, Entry]]:
        return ((buffer, entry) for buffer in self._pending for entry in buffer.entries)

    def written(self, chunk: Sequence[tuple[WriteBuffer, Entry]], refused: Sequence[tuple[int, int]]) -> None:
        """Remove a chunk of the unwritten; `refused` are those that were fenced off, by index, with the last event."""
        fenced = {chunk[index][0]: last_seq for index, last_seq in refused}
        for buffer, last_seq in fenced.items():
            self._fence_off(buffer, last_seq)
        for buffer, entry in chunk:
            if buffer in fenced:
                continue
            del buffer.entries[0]
            buffer.stored = entry.last
            self._bytes -= len(entry.payload)
            if not buffer.entries and not buffer.fresh:
                del self._pending[buffer]
            if entry.terminal:
                self._forget(buffer)
            buffer.publish_committed(entry.last)

    def publish_uncommitted(self) -> None:
        """Let all producers show readers what is unwritten, since it cannot be written at the moment."""
        for buffer in self._pending:
            buffer.publish_committed(buffer.last)

    def _fence_off(self, buffer: WriteBuffer, last_seq: int) -> None:
        """Drop what is unwritten of a run that another pod has taken over."""
        logger.warning("Run %s was taken over by another pod", buffer.run[1])
        del self._pending[buffer]
        self._forget(buffer)
        self._bytes -= buffer.fence_off(last_seq)

    def _forget(self, buffer: WriteBuffer) -> None:
        if self._buffers.get(buffer.run) is buffer:
            del self._buffers[buffer.run]


def _size(entries: Iterable[Entry]) -> int:
    return sum(len(entry.payload) for entry in entries)
