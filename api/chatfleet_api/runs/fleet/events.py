"""The events of all pods, for those who listen at one of them.

A capped stream of Redis has them, in batches. While no one listens nothing is written: whoever listens sets a key that
expires, which each pod sees with its next heartbeat. Order holds within a pod. Redis unreachable: events are dropped.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import msgspec

from chatfleet_api.domain.dispatch import Dispatcher, EventKind, Notice
from chatfleet_api.domain.errors import StorageUnavailableError
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.keys import fleet_events_key, tapped_key

FLEET_KINDS: Final = frozenset(EventKind) - {EventKind.TOKEN_RECEIVED}
"""What crosses pods: tokens would be thousands a second."""
LISTENER: Final = "fleet"
"""Label of the metric of what a pod had to drop."""
BATCH_EVENTS: Final = 500
BATCH_SECONDS: Final = 0.1
MAX_BATCHES: Final = 500
"""Kept in Redis."""
TAPPED_SECONDS: Final = 5
KEPT_SECONDS: Final = 60
READ_SECONDS: Final = 0.2
"""Between two reads of one who listens."""
_REMEMBERED: Final = 256
"""Batches by which one that was written twice, after a lost reply, is recognized."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[Notice]).decode


class FleetEvents:
    """One pod's part: it writes what happens here, and reads what happens anywhere."""

    def __init__(
        self,
        redis: RedisClient,
        dispatcher: Dispatcher,
        *,
        new_id: Callable[[], str],
        dropped: Callable[[str], None],
    ) -> None:
        """Call `dropped` with `LISTENER` for each event that Redis did not take."""
        self._redis = redis
        self._dispatcher = dispatcher
        self._new_id = new_id
        self._dropped = dropped
        self._tapped = asyncio.Event()

    def tapped(self, tapped: bool) -> None:  # noqa: FBT001  # the state itself
        """Take note of whether someone listens."""
        if tapped:
            self._tapped.set()
        else:
            self._tapped.clear()

    async def write_forever(self) -> None:
        """Write what happens here while someone listens, until cancelled."""
        while True:
            await self._tapped.wait()
            with self._dispatcher.listening(LISTENER, FLEET_KINDS) as listener:
                while self._tapped.is_set():
                    await asyncio.sleep(BATCH_SECONDS)
                    if batch := listener.waiting(BATCH_EVENTS):
                        await self._write(batch)

    async def read(self) -> AsyncGenerator[list[Notice], None]:
        """Yield what happens anywhere from about now on, and an empty list when nothing does, until closed."""
        key, seen = fleet_events_key(self._redis), deque[bytes](maxlen=_REMEMBERED)
        position: str | None = None
        while True:
            try:
                position = position or await self._newest(key)
                _, found = await self._redis.call_all(
                    [
                        ("SET", tapped_key(self._redis), 1, "EX", TAPPED_SECONDS),
                        ("XRANGE", key, f"({position}", "+", "COUNT", 100),
                    ]
                )
            except StorageUnavailableError:
                found = []
            notices: list[Notice] = []
            for entry, fields in found:
                position = entry.decode()
                if (batch := fields[b"batch"]) not in seen:
                    seen.append(batch)
                    notices += _decode(fields[b"events"])
            yield notices
            await asyncio.sleep(READ_SECONDS)

    async def _newest(self, key: str) -> str:
        found: Any = await self._redis.call("XREVRANGE", key, "+", "-", "COUNT", 1)
        return found[0][0].decode() if found else "0-0"

    async def _write(self, batch: list[Notice]) -> None:
        key = fleet_events_key(self._redis)
        fields = ("batch", self._new_id(), "events", _encode(batch))
        try:
            await self._redis.call_all(
                [("XADD", key, "MAXLEN", "~", MAX_BATCHES, "*", *fields), ("EXPIRE", key, KEPT_SECONDS)]
            )
        except StorageUnavailableError:
            for _ in batch:
                self._dropped(LISTENER)


def open_fleet_events(
    redis: RedisClient | None, dispatcher: Dispatcher, new_id: Callable[[], str], dropped: Callable[[str], None]
) -> FleetEvents | None:
    """Return what carries events between pods; None without Redis."""
    return None if redis is None else FleetEvents(redis, dispatcher, new_id=new_id, dropped=dropped)
