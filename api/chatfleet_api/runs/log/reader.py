"""The reading half of the run log in Redis: a run from any event on, whichever pod writes it."""

from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from chatfleet_api.domain.ids import is_id
from chatfleet_api.domain.lost_position import position_lost
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.keys import events_key, record_key
from chatfleet_api.runs.log.append_script import ENTRY_FIELD
from chatfleet_api.runs.log.interface import End, RunState, unknown_run
from chatfleet_api.runs.log.tailing import LogTailer, contiguous
from chatfleet_api.runs.log.writer import LogWriter
from chatfleet_api.runs.tail import Batch

IDLE_SECONDS: Final = 10.0
"""After so long without news a reader checks whether the run is still there."""
BEGIN_SECONDS: Final = 1.0
"""How long a reader waits for a run that is not there: it may just have begun, on a pod that has not written it yet."""

_decoder: Final = msgspec.json.Decoder(Batch)


class LogReader:
    """Reads runs, those that `writer` writes included."""

    def __init__(self, redis: RedisClient, writer: LogWriter) -> None:
        self._redis = redis
        self._writer = writer
        self._tailer = LogTailer(redis)

    async def read(self, tenant: str, run: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        """Yield what comes after `after`, until the terminal event."""
        if not is_id(run):
            raise unknown_run()
        await self._writer.flush_first(tenant, run)
        key = events_key(self._redis, tenant, run)
        found = await self._tailer.now(key, after)
        if not found and await self._last(key) is None:
            found = await self._tailer.later(key, after, seconds=BEGIN_SECONDS)
        while True:
            if not found and await self._over(tenant, run, after):
                return
            news = contiguous(found, after)
            if news:
                yield news
                after = news.last
                if news.terminal:
                    return
            if found and found[-1].last > after:
                raise unknown_run()
            found = await self._tailer.later(key, after, seconds=IDLE_SECONDS)

    async def state(self, tenant: str, run: str) -> RunState:
        """Return what is written of the run."""
        end = await self.end(tenant, run)
        if end is None:
            return "unknown"
        return "ended" if end.terminal else "open"

    async def end(self, tenant: str, run: str) -> End | None:
        """Return how far what is written of the run reaches, None when nothing is known of it."""
        if not is_id(run):
            return None
        last = await self._last(events_key(self._redis, tenant, run))
        if last is None:
            return End(0, terminal=False) if await self._has_record(tenant, run) else None
        return End(last.last, last.terminal)

    def close_readers(self) -> None:
        """Let every read that would have to wait raise `Moved`, from now on."""
        self._tailer.close_readers()

    async def aclose(self) -> None:
        """Read no more."""
        await self._tailer.aclose()

    async def _last(self, key: str) -> Batch | None:
        found = await self._redis.call("XREVRANGE", key, "+", "-", "COUNT", 1)
        return _decoder.decode(found[0][1][ENTRY_FIELD]) if found else None

    async def _over(self, tenant: str, run: str, after: int) -> bool:
        """Return whether nothing can come after `after`."""
        last = await self._last(events_key(self._redis, tenant, run))
        if last is None and not await self._has_record(tenant, run):
            raise unknown_run()
        if last is None or not last.terminal:
            return False
        if last.last < after:
            raise position_lost()
        return last.last == after

    async def _has_record(self, tenant: str, run: str) -> bool:
        """Return whether the fleet knows the run: then its events will come, from whichever pod."""
        return bool(await self._redis.call("EXISTS", record_key(self._redis, tenant, run)))
