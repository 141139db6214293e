"""The ledger of a fleet: sums in Redis that all pods add to.

The record of a run that is logged is added by the step that ends the run (`settlement`). Others, of plain completions
and embeddings, gather here as sums, and are added every few milliseconds: nothing waits for that, and an outage of
Redis makes no more of them than there are rows. On a cluster the logs of runs are in other slots than the sums, so
that records of logged runs come here, too, once their runs have ended.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any, Final, NamedTuple, TypeAlias

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
    open_key,
    settlement_of,
    swept_key,
    total_key,
)
from chatfleet_api.usage.open_answers import FIRST_LOOK_SECONDS, Look, OpenAnswers
from chatfleet_api.usage.record import COUNTERS, Row, UsageRecord
from chatfleet_api.usage.settlement import Settlement, Swept

FLUSH_SECONDS: Final = 0.05
_SWEPT: Final = -1
MAX_SETTLEMENTS: Final = 200
"""In one batch, so that the script takes Redis no more than some milliseconds."""

logger = logging.getLogger(__name__)
_Sums: TypeAlias = dict[tuple[str, str, str], tuple[dict[tuple[str, str], Counter[str]], int, int]]
"""Counters by row, and how long they are kept, by keys of Redis."""

_pack: Final = msgspec.msgpack.Encoder().encode
_row: Final = msgspec.json.Decoder(Row)
_swept: Final = msgspec.msgpack.Decoder(Swept).decode


class _Batch(NamedTuple):
    """A batch under way: the same each time that it is sent."""

    number: int
    sums: _Sums
    closed: dict[str, Settlement | None]
    opened: dict[str, str]


class RedisLedger:
    """A `Ledger` of all pods with the same Redis and ChatDeployment."""

    def __init__(
        self,
        redis: RedisClient,
        process: str,
        conversation_seconds: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Add in the name of `process`, which no other one has, before or now."""
        self._redis = redis
        self._conversation_seconds = conversation_seconds
        self.process = process
        self._waiting: _Sums = {}
        self._open = OpenAnswers(clock)
        self._closed: dict[str, Settlement | None] = {}
        """Answers that were written while they were under way, and have ended; None: nothing of them is counted."""
        self._swept: dict[str, Settlement] = {}
        """Answers that other pods have counted, since to them this process was dead, and as what."""
        self._known_swept = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sending: _Batch | None = None
        self._number = 0
        self._writer = BackgroundWriter(self._write, self._lost, delay=FLUSH_SECONDS)

    def add(self, record: UsageRecord) -> None:
        """Add a record with the next batch."""
        settlement = self._settlement(record)
        if self._open.close(record.run):
            self._closed[record.run] = settlement
        else:
            _merge(self._waiting, settlement)
            _merge(self._waiting, self._swept.pop(record.run, None), sign=-1)
        self._writer.wake()

    def following(self, run: str, look: Look) -> AbstractContextManager[None]:
        """Have other pods count the answer if this one dies within the block; its record ends that before."""
        self._look_later()
        return self._open.following(run, look, self._not_counted)

    def _not_counted(self, run: str) -> None:
        self._closed[run] = None
        self._writer.wake()

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FIRST_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._open:
            self._writer.wake()
            self._look_later()

    def add_settlement(self, settlement: Settlement) -> None:
        """Add a settlement with the next batch."""
        _merge(self._waiting, settlement)
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
        while batch := self._sending or self._next():
            self._sending = batch
            swept = await self._redis.call(*self._command(batch)) == _SWEPT
            self._sending = await self._without_swept(batch) if swept else None

    def _lost(self) -> None:
        logger.error("Redis is unreachable: the usage of %d sums was not recorded", len(self._waiting))

    def _next(self) -> _Batch | None:
        """Return the next batch; None: nothing has gathered."""
        taken, ended = [*self._waiting][:MAX_SETTLEMENTS], [*self._closed][:MAX_SETTLEMENTS]
        sums = {keys: self._waiting.pop(keys) for keys in taken}
        closed = {run: self._closed.pop(run) for run in ended}
        for settlement in closed.values():
            _merge(sums, settlement)
        opened = self._open.news()
        if not (sums or closed or opened):
            return None
        self._number += 1
        return _Batch(self._number, sums, closed, opened)

    def _command(self, batch: _Batch) -> Command:
        packed: list[Any] = []
        names = [batch_key(self._redis, self.process), *_open_keys(self._redis, self.process)]
        for keys, (sums, kept, conversation_kept) in batch.sums.items():
            rows = [
                (name, other, [part for count in counters.items() for part in (count[0], str(count[1]))])
                for (name, other), counters in sums.items()
            ]
            packed.append((rows, kept, conversation_kept))
            names += keys
        opened = [part for entry in batch.opened.items() for part in entry]
        marks = (self._known_swept, _pack(opened), _pack([*batch.closed]))
        return ("EVAL", SETTLE, len(names), *names, *marks, batch.number, BATCH_SECONDS, _pack(packed))

    async def _without_swept(self, batch: _Batch) -> _Batch:
        """Return the batch without what other pods have counted, because to them this process was dead."""
        reply = await self._redis.call("HGETALL", swept_key(self._redis, self.process))
        found = {run.decode(): _swept(text).settlement for run, text in fields(reply)}
        self._known_swept = len(found)
        for run in found.keys() - self._swept.keys():
            self._swept[run] = found[run]
            batch.opened.pop(run, None)
            ended = run in self._closed or run in batch.closed
            self._open.forget(run)
            if run in self._closed:
                _merge(batch.sums, self._closed.pop(run))
            batch.closed.pop(run, None)
            if ended:
                _merge(batch.sums, self._swept[run], sign=-1)
        return batch

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


def _merge(sums: _Sums, settlement: Settlement | None, sign: int = 1) -> None:
    if settlement is None:
        return
    rows, kept, conversation_kept = settlement.packed
    found, *_ = sums.setdefault(settlement.keys, ({}, kept, conversation_kept))
    for name, other, counters in rows:
        added = {counter: sign * int(count) for counter, count in zip(counters[::2], counters[1::2], strict=True)}
        found.setdefault((name, other), Counter()).update(added)


def _open_keys(redis: RedisClient, process: str) -> tuple[str, str]:
    return (open_key(redis, process), swept_key(redis, process))


def fields(reply: Any) -> Iterable[tuple[bytes, bytes]]:  # noqa: ANN401  # a list, or a mapping with RESP 3
    """Return the fields of a hash."""
    return reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)


def _fields(reply: Any) -> Mapping[str, int]:  # noqa: ANN401
    return {name.decode(): int(number) for name, number in fields(reply)}


def _sums(fields: Mapping[str, int]) -> Sums:
    sums: dict[Row, dict[str, int]] = {}
    for field, number in fields.items():
        name, closed, counter = field.rpartition("]")
        if closed:
            sums.setdefault(_row.decode(name + closed), {})[counter] = number
    return sums
