"""The ledger of a fleet: sums in Redis that all pods add to.

The record of a run that is logged is added by the step that ends the run (`settlement`). Others, of plain completions
and embeddings, gather here as sums, and are added every few milliseconds: nothing waits for that, and an outage of
Redis makes no more of them than there are rows. On a cluster the logs of runs are in other slots than the sums, so
that records of logged runs come here, too, once their runs have ended.
"""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec

from chatfleet_api.redis.background_writer import BackgroundWriter
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.usage.ledger import Sums
from chatfleet_api.usage.ledger_script import (
    BATCH_SECONDS,
    SETTLE,
    batch_key,
    conversation_key,
    day_key,
    settlement_of,
    total_key,
)
from chatfleet_api.usage.record import COUNTERS, Row, UsageRecord
from chatfleet_api.usage.settlement import Settlement

FLUSH_SECONDS: Final = 0.05
MAX_SETTLEMENTS: Final = 200
"""In one batch, so that the script takes Redis no more than some milliseconds."""

logger = logging.getLogger(__name__)
_pack: Final = msgspec.msgpack.Encoder().encode
_row: Final = msgspec.json.Decoder(Row)


class _Batch(NamedTuple):
    """A batch under way: the same each time that it is sent."""

    command: Command


class RedisLedger:
    """A `Ledger` of all pods with the same Redis and ChatDeployment."""

    def __init__(self, redis: RedisClient, process: str, conversation_seconds: Callable[[], int]) -> None:
        """Add in the name of `process`, which no other one has, before or now."""
        self._redis = redis
        self._batch = batch_key(redis, process)
        self._conversation_seconds = conversation_seconds
        self._waiting: dict[tuple[str, str, str], tuple[dict[tuple[str, str], Counter[str]], int, int]] = {}
        self._sending: _Batch | None = None
        self._number = 0
        self._writer = BackgroundWriter(self._write, self._lost, delay=FLUSH_SECONDS)

    def add(self, record: UsageRecord) -> None:
        """Add a record with the next batch."""
        self.add_settlement(self._settlement(record))

    def add_settlement(self, settlement: Settlement) -> None:
        """Add a settlement with the next batch."""
        rows, kept, conversation_kept = settlement.packed
        sums, *_ = self._waiting.setdefault(settlement.keys, ({}, kept, conversation_kept))
        for name, other, counters in rows:
            added = dict(zip(counters[::2], map(int, counters[1::2]), strict=True))
            sums.setdefault((name, other), Counter()).update(added)
        self._writer.wake()

    def settlement(self, record: UsageRecord) -> Settlement:
        """Return what the step that ends the run adds."""
        return self._settlement(record)

    async def days(self, tenant: str, days: Sequence[str]) -> Sequence[Sums]:
        replies = await self._redis.call_all([("HGETALL", day_key(self._redis, tenant, day)) for day in days])
        return [_sums(_fields(reply)) for reply in replies]

    async def conversation(self, tenant: str, conversation: str) -> Mapping[str, int]:
        return await self._counters(conversation_key(self._redis, tenant, conversation))

    async def totals(self, day: str) -> Mapping[str, int]:
        return await self._counters(total_key(self._redis, day))

    async def _counters(self, key: str) -> Mapping[str, int]:
        numbers = await self._redis.call("HMGET", key, *COUNTERS)
        return {name: int(number) for name, number in zip(COUNTERS, numbers, strict=True) if number is not None}

    def writing(self) -> AbstractAsyncContextManager[None]:
        """Add what gathers while the block lasts, and what is left at its end."""
        return self._writer.running()

    async def _write(self) -> None:
        """Add all that has gathered. A batch that fails is sent again as it was."""
        while self._sending or self._waiting:
            self._sending = self._sending or self._next()
            await self._redis.call(*self._sending.command)
            self._sending = None

    def _lost(self) -> None:
        logger.error("Redis is unreachable: the usage of %d sums was not recorded", len(self._waiting))

    def _next(self) -> _Batch:
        taken = [*self._waiting][:MAX_SETTLEMENTS]
        self._number += 1
        packed: list[Any] = []
        for keys in taken:
            sums, kept, conversation_kept = self._waiting.pop(keys)
            rows = [
                (name, other, [part for count in counters.items() for part in (count[0], str(count[1]))])
                for (name, other), counters in sums.items()
            ]
            packed.append((rows, kept, conversation_kept))
        names: list[str] = [self._batch]
        for keys in taken:
            names += keys
        return _Batch(("EVAL", SETTLE, len(names), *names, self._number, BATCH_SECONDS, _pack(packed)))

    def _settlement(self, record: UsageRecord) -> Settlement:
        return settlement_of(self._redis, record, conversation_seconds=self._conversation_seconds())


@asynccontextmanager
async def open_redis_ledger(
    redis: RedisClient, process: str, conversation_seconds: Callable[[], int]
) -> AsyncGenerator[RedisLedger, None]:
    """Yield a ledger that adds while the block lasts, and what is left at its end."""
    ledger = RedisLedger(redis, process, conversation_seconds)
    async with ledger.writing():
        yield ledger


def _fields(reply: Any) -> Mapping[str, int]:  # noqa: ANN401  # a list, or a mapping with RESP 3
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(): int(number) for name, number in pairs}


def _sums(fields: Mapping[str, int]) -> Sums:
    sums: dict[Row, dict[str, int]] = {}
    for field, number in fields.items():
        name, closed, counter = field.rpartition("]")
        if closed:
            sums.setdefault(_row.decode(name + closed), {})[counter] = number
    return sums
