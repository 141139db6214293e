"""The run log in Redis Streams: one stream per run, one writer per pod.

However many runs there are, a pod writes them all with one command every few milliseconds (one per run on a cluster,
sent together). Each run's events of that interval are one entry. Its id is `<last sequence number>-0`, so that Redis
itself refuses an entry that arrives twice. `docs/decisions/0302-run-log.md` tells why, and what happens while Redis is
away.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code, position_lost
from chatfleet_api.domain.events import Batch
from chatfleet_api.domain.ids import is_id
from chatfleet_api.redis.client import Command, RedisClient
from chatfleet_api.runs.log.append_script import ENTRY_FIELD, WRITE
from chatfleet_api.runs.log.interface import Producer, RunState
from chatfleet_api.runs.log.tailing import LogTailer, cancelled, continued
from chatfleet_api.runs.log.write_buffer import Entry, WriteBuffer

FLUSH_SECONDS: Final = 0.015
"""Between the beginnings of two writes, but for the first two after a rest, which are made at once. What a killed pod
leaves unwritten is what came since, and nobody has seen it."""
RECORD: Final = "run"
"""Kind of the key of a run's record."""
LONGEST_PAUSE_SECONDS: Final = 1.0
"""Between two attempts while Redis is away."""
IDLE_SECONDS: Final = 10.0
"""After so long without news a reader looks whether the run is still there."""
BEGIN_SECONDS: Final = 1.0
"""How long a reader waits for a run that is not there: it may just have begun, on a pod that has not written it yet."""
UNSENT_BYTES: Final = 32 * 1024 * 1024
"""Encoded events that a pod keeps for a Redis that is away: about a million tokens."""
ENTRIES_PER_WRITE: Final = 1000
"""Keeps one script within a few milliseconds of the server's time."""

logger = logging.getLogger(__name__)
_decoder: Final = msgspec.json.Decoder(Batch)
_pack: Final = msgspec.msgpack.Encoder().encode
"""Entries are one argument of the script: each costs the client a microsecond, and there would be four to an entry."""


class RedisRunLog:
    """A `RunLog` that any pod of the ChatDeployment can read, until `ttl_seconds` after a run's end.

    While Redis is away, appends are kept and written when it is back. Beyond `UNSENT_BYTES` the run that wants more
    loses what is unwritten of it: readers from the log meet the gap as `NOT_FOUND`, those on this pod do not.
    """

    def __init__(self, redis_client: RedisClient, *, ttl_seconds: int, run_seconds: int) -> None:
        """Make the log; a run that is never ended is forgotten `run_seconds` + `ttl_seconds` after its start."""
        self._redis = redis_client
        self.ttl_seconds, self.run_seconds = ttl_seconds, run_seconds
        """Seconds; both may be replaced while the pod runs, for what changes from then on."""
        self.flush_seconds = FLUSH_SECONDS
        """Between the beginnings of two writes; may be replaced while the pod runs."""
        self._streams: dict[tuple[str, str], WriteBuffer] = {}
        self._unwritten: dict[WriteBuffer, None] = {}
        self._unsent_bytes = 0
        self._away = False
        self._work = asyncio.Event()
        self._attempt: asyncio.Future[ChatError | None] = asyncio.Future()
        self._followers = LogTailer(redis_client)

    def append(self, tenant: str, run: str, batch: Batch, by: Producer | None = None) -> None:
        """Take the next batch; it is written with the next flush."""
        stream = self._streams.get((tenant, run))
        if stream is None or stream.by is not by:
            keys = self._key(tenant, run), self._redis.key(tenant, RECORD, run)
            stream = self._streams[tenant, run] = WriteBuffer((tenant, run), keys, by)
        stream.fresh.append(batch)
        stream.last = batch.last
        self._unwritten[stream] = None
        self._work.set()
        if self._away:
            stream.publish_committed(batch.last)

    def writing(self, tenant: str, run: str) -> bool:
        """Tell whether something of the run is still to be written here, or may be."""
        return (tenant, run) in self._streams

    async def flush(self, tenant: str, run: str) -> None:
        """Wait for the write that brings the run up to now, or raise what it fails with."""
        stream = self._streams.get((tenant, run))
        wanted = stream.last if stream else 0
        while stream and stream.stored < wanted and not stream.lossy:
            if error := await asyncio.shield(self._attempt):
                raise error
        if stream and stream.lossy:
            raise ChatError(Code.STORAGE_UNAVAILABLE, detail="part of the run's log was given up")

    async def read(self, tenant: str, run: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield what comes after `after`, until the terminal event."""
        if not is_id(run):
            raise _unknown()
        if (stream := self._streams.get((tenant, run))) and not stream.stored:
            await self.flush(tenant, run)  # it has just begun, here, and Redis does not know it yet
        key = self._key(tenant, run)
        found = await self._followers.now(key, after)
        if not found and await self._last(key) is None:
            found = await self._followers.later(key, after, seconds=BEGIN_SECONDS)
        while True:
            if not found and await self._over(tenant, run, after):
                return
            news = continued(found, after)
            if news:
                yield news
                after = news.last
                if news.terminal:
                    return
            if found and found[-1].last > after:
                raise _unknown()
            found = await self._followers.later(key, after, seconds=IDLE_SECONDS)

    async def state(self, tenant: str, run: str) -> RunState:
        """Tell what is written of the run."""
        if not is_id(run):
            return "unknown"
        last = await self._last(self._key(tenant, run))
        if last is None:
            return "open" if await self._begun(tenant, run) else "unknown"
        return "ended" if last.terminal else "open"

    async def ping(self) -> None:
        """Ask Redis for a sign of life."""
        await self._redis.ping()

    async def _last(self, key: str) -> Batch | None:
        found = await self._redis.call("XREVRANGE", key, "+", "-", "COUNT", 1)
        return _decoder.decode(found[0][1][ENTRY_FIELD]) if found else None

    async def _over(self, tenant: str, run: str, after: int) -> bool:
        """Tell whether nothing can come after `after`."""
        last = await self._last(self._key(tenant, run))
        if last is None and not await self._begun(tenant, run):
            raise _unknown()
        if last is None or not last.terminal:
            return False
        if last.last < after:
            raise position_lost()
        return last.last == after

    async def _begun(self, tenant: str, run: str) -> bool:
        """Tell whether the fleet knows the run: then its events will come, from whichever pod."""
        return bool(await self._redis.call("EXISTS", self._redis.key(tenant, RECORD, run)))

    def _key(self, tenant: str, run: str) -> str:
        return self._redis.key(tenant, "events", run)

    async def _write(self) -> bool:
        """Try to write all there is, tell who waits for it, and return whether it succeeded."""
        self._work.clear()
        self._encode()
        failure: ChatError | None = None
        try:
            while chunk := [*islice(self._unsent(), ENTRIES_PER_WRITE)]:
                self._sent(chunk, await self._send(chunk))
        except ChatError as error:
            failure = error
            self._work.set()
            for stream in self._unwritten:
                stream.publish_committed(stream.last)
        self._away = failure is not None
        attempt, self._attempt = self._attempt, asyncio.Future()
        attempt.set_result(failure)
        return failure is None

    def _encode(self) -> None:
        for stream in [*self._unwritten]:
            self._unsent_bytes += stream.encode()
            if self._unsent_bytes > UNSENT_BYTES:
                if not stream.lossy:
                    logger.error("Redis is away for too long: the log of run %s has a gap", stream.owner[1])
                self._unsent_bytes -= stream.drop_unsent()

    def _unsent(self) -> Iterator[tuple[WriteBuffer, Entry]]:
        return ((stream, entry) for stream in self._unwritten for entry in stream.entries)

    async def _send(self, chunk: Sequence[tuple[WriteBuffer, Entry]]) -> Sequence[tuple[int, int]]:
        """Write, and return which of `chunk` were refused (by their index), and after which event of their run."""
        if self._redis.clustered:
            replies = await self._redis.call_all([self._command([item]) for item in chunk])
            return [(index, after) for index, reply in enumerate(replies) for _, after in reply]
        return [(number - 1, after) for number, after in await self._redis.call(*self._command(chunk))]

    def _command(self, chunk: Sequence[tuple[WriteBuffer, Entry]]) -> Command:
        keys = [key for stream, _ in chunk for key in stream.keys]
        entries = [(stream.epoch, entry.last, entry.terminal, entry.payload.decode()) for stream, entry in chunk]
        seconds = self.run_seconds + self.ttl_seconds, self.ttl_seconds
        return ("EVAL", WRITE, len(keys), *keys, *seconds, _pack(entries))

    def _sent(self, chunk: Sequence[tuple[WriteBuffer, Entry]], refused: Sequence[tuple[int, int]]) -> None:
        fenced = {chunk[index][0]: after for index, after in refused}
        for stream, after in fenced.items():
            self._fence_off(stream, after)
        for stream, entry in chunk:
            if stream in fenced:
                continue
            del stream.entries[0]
            stream.stored = entry.last
            self._unsent_bytes -= len(entry.payload)
            if not stream.entries and not stream.fresh:
                del self._unwritten[stream]
            if entry.terminal:
                self._forget(stream)
            stream.publish_committed(entry.last)

    def _fence_off(self, stream: WriteBuffer, after: int) -> None:
        """Drop what is unwritten of a run that another pod has taken over."""
        logger.warning("run %s was taken over by another pod", stream.owner[1])
        self._unsent_bytes -= sum(len(entry.payload) for entry in stream.entries)
        stream.stored = stream.last
        del self._unwritten[stream]
        self._forget(stream)
        if stream.by is not None:
            stream.by.fence_off(after)

    def _forget(self, stream: WriteBuffer) -> None:
        if self._streams.get(stream.owner) is stream:
            del self._streams[stream.owner]

    async def write_forever(self) -> None:
        """Write what is appended, as long as this task lives. For `open_run_log` alone."""
        pause = self.flush_seconds
        clock = asyncio.get_running_loop().time
        earliest = due = clock()
        while True:
            await self._work.wait()
            await asyncio.sleep(earliest - clock())
            due = max(due, clock()) + self.flush_seconds
            earliest = due - self.flush_seconds  # after a rest two at once: of the start of a run, and its first token
            if await self._write():
                pause = self.flush_seconds
            else:
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                earliest = clock() + pause

    def leave(self) -> None:
        """Let readers go elsewhere for what is still to come: reading raises `Moved` from now on."""
        self._followers.leave()

    async def aclose(self) -> None:
        """Try once to write what is left, and read no more."""
        await self._followers.aclose()
        if not await self._write():
            logger.error("Redis is away: the last events of %d runs are not in their logs", len(self._unwritten))


@asynccontextmanager
async def open_run_log(
    redis_client: RedisClient, *, ttl_seconds: int, run_seconds: int
) -> AsyncGenerator[RedisRunLog, None]:
    """Yield a run log that writes what is appended while the block lasts, and what is left at its end."""
    log = RedisRunLog(redis_client, ttl_seconds=ttl_seconds, run_seconds=run_seconds)
    writer = asyncio.create_task(log.write_forever())
    writer.add_done_callback(_report)
    try:
        yield log
    finally:
        await cancelled(writer)
        await log.aclose()


def _report(writer: asyncio.Task[None]) -> None:
    if not writer.cancelled():
        logger.critical("runs are not logged any more", exc_info=writer.exception())


def _unknown() -> ChatError:
    return ChatError(Code.NOT_FOUND, "This stream is not, or no longer, wholly known.")
