"""The run log in Redis Streams: one stream per run, one writer per pod.

However many runs there are, a pod writes them all with one command every few milliseconds (one per run on a cluster,
sent together). Each run's events of that interval are one entry. Its id is `<last sequence number>-0`, so that Redis
itself refuses an entry that arrives twice. `docs/decisions/0302-run-log.md` tells why, and what happens while Redis is
away.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from chatfleet_api.chat.events import Batch
from chatfleet_api.errors import ChatError, Code
from chatfleet_api.ids import is_id
from chatfleet_api.runs.following import Followers, cancelled, continued
from chatfleet_api.runs.port import RunState
from chatfleet_api.runs.tail import joined
from chatfleet_api.storage import Command, Storage

ENTRY_FIELD: Final = b"e"
"""Name of the one field of an entry: a `Batch` in JSON, on one line."""
FLUSH_SECONDS: Final = 0.015
"""Pause between two writes. Also the most that a killed pod leaves unwritten."""
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
ENTRIES_PER_STREAM: Final = 65536
"""Bound on what one run can take in Redis; 16 minutes at one entry per flush. Older entries go first."""

_WRITE: Final = """
local live, ended = ARGV[1], ARGV[2]
for i, key in ipairs(KEYS) do
  local last, final, entry = ARGV[3 * i], ARGV[3 * i + 1], ARGV[3 * i + 2]
  local done = redis.pcall('XADD', key, 'MAXLEN', '~', LIMIT, last .. '-0', FIELD, entry)
  if type(done) == 'table' and done.err and not string.find(done.err, 'equal or smaller', 1, true) then
    return done
  end
  if final == '1' then
    redis.call('EXPIRE', key, ended)
  elseif redis.call('XLEN', key) == 1 then
    redis.call('EXPIRE', key, live)
  end
end
return 1
""".replace("LIMIT", str(ENTRIES_PER_STREAM)).replace("FIELD", f"'{ENTRY_FIELD.decode()}'")
"""Append one entry per key. An id that is there is a repeat of ours and passed over; other errors end the write."""

logger = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Batch)


class _Entry(NamedTuple):
    last: int
    terminal: bool
    payload: bytes


class _Stream:
    """What is not yet written of one run."""

    __slots__ = ("entries", "fresh", "key", "last", "lossy", "owner", "stored")

    def __init__(self, owner: tuple[str, str], key: str) -> None:
        self.owner = owner
        self.key = key
        self.fresh: list[Batch] = []
        self.entries: deque[_Entry] = deque()
        self.last = 0
        self.stored = 0
        self.lossy = False

    def encode(self) -> int:
        """Make one entry of what is fresh; returns its size in bytes."""
        if not self.fresh:
            return 0
        batch = joined(self.fresh)
        self.fresh = []
        self.entries.append(_Entry(batch.last, batch.terminal, _encoder.encode(batch)))
        return len(self.entries[-1].payload)

    def give_up(self) -> int:
        """Forget what is unwritten, but for the end; returns the bytes that frees."""
        before = sum(len(entry.payload) for entry in self.entries)
        self.entries = deque(entry for entry in self.entries if entry.terminal)
        self.lossy = True
        return before - sum(len(entry.payload) for entry in self.entries)


class RedisRunLog:
    """A `RunLog` that any pod of the ChatDeployment can read, until `ttl_seconds` after a run's end.

    While Redis is away, appends are kept and written when it is back. Beyond `UNSENT_BYTES` the run that wants more
    loses what is unwritten of it: readers from the log meet the gap as `NOT_FOUND`, those on this pod do not.
    """

    def __init__(self, storage: Storage, *, ttl_seconds: int, run_seconds: int) -> None:
        """Make the log; a run that is never ended is forgotten `run_seconds` + `ttl_seconds` after its start."""
        self._storage = storage
        self.ttl_seconds = ttl_seconds
        self.run_seconds = run_seconds
        """Seconds; both may be replaced while the pod runs, for what changes from then on."""
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._unwritten: dict[_Stream, None] = {}
        self._unsent_bytes = 0
        self._work = asyncio.Event()
        self._attempt: asyncio.Future[ChatError | None] = asyncio.Future()
        self._followers = Followers(storage)

    def append(self, tenant: str, run: str, batch: Batch) -> None:
        """Take the next batch; it is written with the next flush."""
        stream = self._streams.get((tenant, run))
        if stream is None:
            stream = self._streams[tenant, run] = _Stream((tenant, run), self._key(tenant, run))
        stream.fresh.append(batch)
        stream.last = batch.last
        self._unwritten[stream] = None
        self._work.set()

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
            if not found and await self._over(key, after):
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
        last = await self._last(self._key(tenant, run)) if is_id(run) else None
        if last is None:
            return "unknown"
        return "ended" if last.terminal else "open"

    async def ping(self) -> None:
        """Ask Redis for a sign of life."""
        await self._storage.ping()

    async def _last(self, key: str) -> Batch | None:
        found = await self._storage.call("XREVRANGE", key, "+", "-", "COUNT", 1)
        return _decoder.decode(found[0][1][ENTRY_FIELD]) if found else None

    async def _over(self, key: str, after: int) -> bool:
        """Tell whether nothing can come after `after`."""
        last = await self._last(key)
        if last is None:
            raise _unknown()
        return last.terminal and last.last <= after

    def _key(self, tenant: str, run: str) -> str:
        return self._storage.key(tenant, "events", run)

    async def _write(self) -> bool:
        """Try to write all there is, tell who waits for it, and return whether it succeeded."""
        self._work.clear()
        self._encode()
        failure: ChatError | None = None
        try:
            while chunk := [*islice(self._unsent(), ENTRIES_PER_WRITE)]:
                await self._send(chunk)
                self._sent(chunk)
        except ChatError as error:
            failure = error
            self._work.set()
        attempt, self._attempt = self._attempt, asyncio.Future()
        attempt.set_result(failure)
        return failure is None

    def _encode(self) -> None:
        for stream in [*self._unwritten]:
            self._unsent_bytes += stream.encode()
            if self._unsent_bytes > UNSENT_BYTES:
                if not stream.lossy:
                    logger.error("Redis is away for too long: the log of run %s has a gap", stream.owner[1])
                self._unsent_bytes -= stream.give_up()

    def _unsent(self) -> Iterator[tuple[_Stream, _Entry]]:
        return ((stream, entry) for stream in self._unwritten for entry in stream.entries)

    async def _send(self, chunk: Sequence[tuple[_Stream, _Entry]]) -> None:
        if self._storage.clustered:
            await self._storage.call_all([self._command([item]) for item in chunk])
        else:
            await self._storage.call(*self._command(chunk))

    def _command(self, chunk: Sequence[tuple[_Stream, _Entry]]) -> Command:
        arguments: list[str | bytes | int] = ["EVAL", _WRITE, len(chunk), *(stream.key for stream, _ in chunk)]
        arguments += (self.run_seconds + self.ttl_seconds, self.ttl_seconds)
        for _, entry in chunk:
            arguments += (entry.last, int(entry.terminal), entry.payload)
        return tuple(arguments)

    def _sent(self, chunk: Sequence[tuple[_Stream, _Entry]]) -> None:
        for stream, entry in chunk:
            stream.entries.popleft()
            stream.stored = entry.last
            self._unsent_bytes -= len(entry.payload)
            if not stream.entries and not stream.fresh:
                del self._unwritten[stream]
            if entry.terminal:
                del self._streams[stream.owner]

    async def write_forever(self) -> None:
        """Write what is appended, as long as this task lives. For `open_run_log` alone."""
        pause = FLUSH_SECONDS
        while True:
            await self._work.wait()
            await asyncio.sleep(pause)
            pause = FLUSH_SECONDS if await self._write() else min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def aclose(self) -> None:
        """Try once to write what is left, and read no more."""
        await self._followers.aclose()
        if not await self._write():
            logger.error("Redis is away: the last events of %d runs are not in their logs", len(self._unwritten))


@asynccontextmanager
async def open_run_log(storage: Storage, *, ttl_seconds: int, run_seconds: int) -> AsyncGenerator[RedisRunLog, None]:
    """Yield a run log that writes what is appended while the block lasts, and what is left at its end."""
    log = RedisRunLog(storage, ttl_seconds=ttl_seconds, run_seconds=run_seconds)
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
