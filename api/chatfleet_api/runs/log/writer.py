"""The writing half of the run log in Redis: what this pod's runs publish, gathered and appended every few milliseconds.

Every append carries the producer's fencing token (`fence.py`). An append that another pod's takeover has fenced off is
refused by `append_script.py`; the producer then stops, and its readers go on from the log.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.keys import events_key, record_key
from chatfleet_api.runs.log.append_script import Chunk, append_entries
from chatfleet_api.runs.log.interface import AfterEnd, Producer
from chatfleet_api.runs.log.write_buffer import WriteBuffer, WriteBuffers
from chatfleet_api.runs.tail import Batch
from chatfleet_contract.spec import Conversations, Streaming

FLUSH_SECONDS: Final = 0.015
"""Between the beginnings of two writes, but for the first two after a rest, and those in which a run begins or ends. A
killed pod loses what came since the last one, and no reader has seen it."""
URGENT_SECONDS: Final = 0.002
"""Between two writes for the sake of runs that begin or end, on average: their readers wait for nothing else."""
URGENT_BURST: Final = 4
"""Such writes that are made at once after a rest."""
FIRST_EVENTS: Final = 2
"""The start of a run, and its first token."""
MAX_BACKOFF_SECONDS: Final = 1.0
"""Longest back-off between two attempts while Redis is unreachable."""
ENTRIES_PER_WRITE: Final = 1000
"""Keeps one script within a few milliseconds of the server's time."""

logger = logging.getLogger(__name__)


class LogWriter:
    """Appends the events of this pod's runs to their logs.

    While Redis is unreachable, events are buffered, and written when it is back. What `WriteBuffers`
    drops by then, readers from the log meet as a gap (`NOT_FOUND`), those on this pod do not.
    """

    def __init__(
        self,
        redis: RedisClient,
        streaming: Live[Streaming],
        conversations: Live[Conversations],
        after_end: AfterEnd = lambda *_: None,
    ) -> None:
        """Make the writer; a run that never ends expires `maxStreamSeconds` + `logTTLSeconds` after its start.

        On a cluster, `after_end` gets what each run that has ended adds to the ledger and to queues.
        """
        self._after_end = after_end
        self._redis = redis
        self._streaming = streaming
        self._conversations = conversations
        self._buffers = WriteBuffers()
        self._unreachable = False
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()
        self._urgent_due = 0.0
        """By when all writes for the sake of beginnings and ends would have been made at their average distance."""
        self._attempt: asyncio.Future[ChatError | None] = asyncio.Future()

    @property
    def flush_seconds(self) -> float:
        """Time between the beginnings of two writes, so that `conversations.saveIntervalMilliseconds` holds."""
        return min(FLUSH_SECONDS, self._conversations().save_interval_milliseconds / 1000 / 2)

    def append(self, tenant: str, run: str, batch: Batch, producer: Producer | None = None) -> None:
        """Take the next batch; it is written with the next flush."""
        buffer = self._buffers.find(tenant, run)
        if buffer is None or buffer.producer is not producer:
            keys = events_key(self._redis, tenant, run), record_key(self._redis, tenant, run)
            buffer = WriteBuffer((tenant, run), keys, producer)
        self._buffers.append(buffer, batch)
        self._work.set()
        if batch.terminal or batch.first <= FIRST_EVENTS:
            self._urgent.set()
        if self._unreachable:
            buffer.publish_committed(batch.last)

    def is_writing(self, tenant: str, run: str) -> bool:
        return self._buffers.find(tenant, run) is not None

    async def flush(self, tenant: str, run: str) -> None:
        """Wait for the write that brings the run up to now, or raise what it fails with."""
        buffer = self._buffers.find(tenant, run)
        wanted = buffer.last if buffer else 0
        while buffer and buffer.stored < wanted and not buffer.lossy:
            if error := await asyncio.shield(self._attempt):
                raise error
        if buffer and buffer.lossy:
            raise ChatError(Code.STORAGE_UNAVAILABLE, detail="part of the run's log was dropped")

    async def flush_first(self, tenant: str, run: str) -> None:
        """Return when Redis has the first entry of a run that has just begun here; at once for every other."""
        buffer = self._buffers.find(tenant, run)
        if buffer and not buffer.stored:
            await self.flush(tenant, run)

    async def write_forever(self) -> None:
        """Write what is appended, as long as this task lives."""
        pause = self.flush_seconds
        clock = asyncio.get_running_loop().time
        earliest = due = clock()
        while True:
            await self._work.wait()
            besides = await self._pause(earliest)
            interval = self.flush_seconds
            if not besides:
                due = max(due, clock()) + interval
                earliest = due - interval  # after a rest two at once: of the start of a run, and its first token
            if await self._write():
                pause = interval
            else:
                pause = min(2 * pause, MAX_BACKOFF_SECONDS)
                earliest = clock() + pause

    async def aclose(self) -> None:
        """Try once to write what is left."""
        if not await self._write():
            logger.error("Redis is unreachable: the logs of %d runs lack their last events", len(self._buffers))

    async def _pause(self, earliest: float) -> bool:
        """Wait until `earliest`, or, while Redis is reachable, only until a run begins or ends.

        Returns whether the write is for a run that begins or ends, and comes besides the others. Timers may fire up to
        a millisecond early: the clock does not show it.
        """
        clock = asyncio.get_running_loop().time
        if self._unreachable or not await self._is_urgent_within(earliest - clock()):
            await asyncio.sleep(earliest - clock())
            return False
        await asyncio.sleep(min(earliest, self._urgent_due - URGENT_BURST * URGENT_SECONDS) - clock())
        self._urgent_due = max(self._urgent_due, clock()) + URGENT_SECONDS
        return clock() < earliest

    async def _is_urgent_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._urgent.wait()
        return self._urgent.is_set()

    async def _write(self) -> bool:
        """Try to write all there is, wake every `flush`, and return whether it succeeded."""
        self._work.clear()
        self._urgent.clear()
        self._buffers.encode()
        failure: ChatError | None = None
        try:
            while chunk := [*islice(self._buffers.unwritten(), ENTRIES_PER_WRITE)]:
                refused = await self._append(chunk)
                if self._redis.clustered:
                    self._count(chunk, refused)
                self._buffers.written(chunk, refused)
        except ChatError as error:
            failure = error
            self._work.set()
            self._buffers.publish_uncommitted()
        self._unreachable = failure is not None
        attempt, self._attempt = self._attempt, asyncio.Future()
        attempt.set_result(failure)
        return failure is None

    def _count(self, chunk: Chunk, refused: Sequence[tuple[int, int]]) -> None:
        """Count the runs that have ended with a chunk: their log has another slot than sums and queues."""
        fenced = {index for index, _ in refused}
        for index, (buffer, entry) in enumerate(chunk):
            if entry.terminal and index not in fenced:
                self._after_end(buffer.settlement, buffer.notice)

    async def _append(self, chunk: Chunk) -> Sequence[tuple[int, int]]:
        streaming = self._streaming()
        kept = streaming.log_ttl_seconds
        return await append_entries(
            self._redis, chunk, live_seconds=streaming.max_stream_seconds + kept, ended_seconds=kept
        )
