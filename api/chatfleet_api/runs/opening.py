"""Opens the run log and the fleet of a pod: in Redis, or in memory when there is none."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.fleet.interface import Fleet
from chatfleet_api.runs.fleet.redis import open_redis_fleet
from chatfleet_api.runs.fleet.single_pod import SinglePodFleet
from chatfleet_api.runs.log.interface import AfterEnd, RunLog
from chatfleet_api.runs.log.memory import MemoryRunLog
from chatfleet_api.runs.log.redis import open_redis_run_log
from chatfleet_contract.spec import Conversations, Streaming


@asynccontextmanager
async def open_run_log(
    redis: RedisClient | None,
    streaming: Live[Streaming],
    conversations: Live[Conversations],
    *,
    clock: Callable[[], float],
    after_end: AfterEnd = lambda *_: None,
) -> AsyncGenerator[RunLog, None]:
    """Yield the run log; what was appended is written by the end of the block. For `after_end` see `LogWriter`."""
    if redis is None:
        yield MemoryRunLog(streaming, clock=clock)
        return
    async with open_redis_run_log(redis, streaming, conversations, after_end) as log:
        yield log


@asynccontextmanager
async def open_fleet(
    redis: RedisClient | None,
    pod: str,
    streaming: Live[Streaming],
    *,
    clock: Callable[[], float],
    rand: Callable[[], float],
) -> AsyncGenerator[Fleet, None]:
    """Yield the fleet with `pod` in it, a name that no other process, before or now, has; `rand` returns 0 to 1."""
    if redis is None:
        yield SinglePodFleet()
        return
    async with open_redis_fleet(redis, pod, streaming, clock=clock, rand=rand) as fleet:
        yield fleet
