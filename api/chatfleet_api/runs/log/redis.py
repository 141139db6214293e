"""The run log in Redis Streams: one stream per run, one writer per pod.

However many runs there are, a pod writes them all with one command every few milliseconds (one per run on a cluster,
sent together). Each run's events of that interval are one entry. Its id is `<last sequence number>-0`, so that Redis
itself refuses an entry that arrives twice. `docs/decisions/0302-run-log.md` has the reasons, and what happens while
Redis is unreachable.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.log.interface import AfterEnd, End, Producer, RunState
from chatfleet_api.runs.log.reader import LogReader
from chatfleet_api.runs.log.tasks import cancel
from chatfleet_api.runs.log.writer import LogWriter
from chatfleet_api.runs.tail import Batch
from chatfleet_contract.spec import Conversations, Streaming

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RedisRunLog:
    """A `RunLog` that any pod of the ChatDeployment can read, until `streaming.logTTLSeconds` after a run's end."""

    writer: LogWriter
    reader: LogReader

    def append(self, tenant: str, run: str, batch: Batch, producer: Producer | None = None) -> None:
        self.writer.append(tenant, run, batch, producer)

    def is_writing(self, tenant: str, run: str) -> bool:
        return self.writer.is_writing(tenant, run)

    async def flush(self, tenant: str, run: str) -> None:
        await self.writer.flush(tenant, run)

    def read(self, tenant: str, run: str, after: int = 0) -> AsyncGenerator[Batch, None]:
        return self.reader.read(tenant, run, after)

    async def state(self, tenant: str, run: str) -> RunState:
        return await self.reader.state(tenant, run)

    async def end(self, tenant: str, run: str) -> End | None:
        return await self.reader.end(tenant, run)

    def close_readers(self) -> None:
        self.reader.close_readers()


@asynccontextmanager
async def open_redis_run_log(
    redis: RedisClient,
    streaming: Live[Streaming],
    conversations: Live[Conversations],
    after_end: AfterEnd = lambda *_: None,
) -> AsyncGenerator[RedisRunLog, None]:
    """Yield a run log that writes what is appended while the block lasts, and what is left at its end.

    On a cluster, `after_end` gets what each run that has ended adds to the ledger and to queues.
    """
    writer = LogWriter(redis, streaming, conversations, after_end)
    reader = LogReader(redis, writer)
    writing = asyncio.create_task(writer.write_forever())
    writing.add_done_callback(_report)
    try:
        yield RedisRunLog(writer, reader)
    finally:
        await cancel(writing)
        await reader.aclose()
        await writer.aclose()


def _report(writing: asyncio.Task[None]) -> None:
    if not writing.cancelled():
        logger.critical("Runs are no longer logged", exc_info=writing.exception())
