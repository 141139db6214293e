"""Reading runs that other pods write: any number of readers, one command at a time for all of them."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Batch
from chatfleet_api.redis.client import Command, RedisClient
from chatfleet_api.runs.log.interface import Moved
from chatfleet_api.runs.tail import joined

ENTRIES_PER_READ: Final = 256
STREAMS_PER_READ: Final = 64
"""With the above, a reply is 2 MB at most."""
ROUND_SECONDS: Final = 0.015
"""Pause between two rounds, in which what comes is gathered."""
IDLE_ROUND_SECONDS: Final = 0.05
"""Longest that the pause gets while nothing comes."""
AWAY_ROUND_SECONDS: Final = 1.0
"""Longest that the pause gets while Redis is away."""

_READ: Final = """
local texts = {}
for i, key in ipairs(KEYS) do
  local lines = {}
  for j, entry in ipairs(redis.call('XRANGE', key, '(' .. ARGV[i + 1] .. '-0', '+', 'COUNT', ARGV[1])) do
    lines[j] = entry[2][2]
  end
  texts[i] = table.concat(lines, '\\n')
end
return texts
"""
"""Per stream the entries beyond a place, one a line. As XREAD would, but in a tenth of the client's time to parse."""

_decoder: Final = msgspec.json.Decoder(Batch)


def continued(found: Sequence[Batch], after: int) -> Batch | None:
    """Return what follows `after` without a gap, as one batch, or None when that is nothing."""
    following: list[Batch] = []
    for batch in found:
        news = batch.after(after)
        if news is None:
            continue
        if news.first != after + 1:
            break
        following.append(news)
        after = news.last
    return joined(following) if following else None


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancel `task` and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class _Reader:
    """A reader that waits: for what is there now, or for what will come."""

    __slots__ = ("after", "key", "news", "patient")

    def __init__(self, key: str, after: int, *, patient: bool) -> None:
        self.key = key
        self.after = after
        self.patient = patient
        self.news: asyncio.Future[bytes] = asyncio.Future()


class LogTailer:
    """The readers of this pod, each at its own place in its own stream, all served by one poller.

    Polled and not blocked upon: a blocked read cannot take in who joins, needs a connection without a timeout, and is
    not possible across the slots of a cluster.
    """

    def __init__(self, redis_client: RedisClient) -> None:
        self._redis = redis_client
        self._waiting: set[_Reader] = set()
        self._joined = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._leaving = False

    async def now(self, key: str, after: int) -> list[Batch]:
        """Return entries beyond `after`, the first of them when they are many; raises STORAGE_UNAVAILABLE."""
        return await self._wait(_Reader(key, after, patient=False))

    async def later(self, key: str, after: int, *, seconds: float) -> list[Batch]:
        """Wait for entries beyond `after`, also while Redis is away; returns none when none came for so long."""
        try:
            async with asyncio.timeout(seconds):
                return await self._wait(_Reader(key, after, patient=True))
        except TimeoutError:
            return []

    def leave(self) -> None:
        """Send every reader elsewhere, from now on, who would have to wait for news."""
        self._leaving = True
        for reader in self._waiting:
            if reader.patient and not reader.news.done():
                reader.news.set_exception(Moved())

    async def aclose(self) -> None:
        """Read no more."""
        if self._poller:
            await cancelled(self._poller)

    async def _wait(self, reader: _Reader) -> list[Batch]:
        if self._leaving and reader.patient:
            raise Moved
        self._waiting.add(reader)
        if not reader.patient:
            self._joined.set()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            return _decoded(await reader.news)
        finally:
            self._waiting.discard(reader)

    async def _poll(self) -> None:
        pause = ROUND_SECONDS
        while self._waiting:
            self._joined.clear()
            readers = [*self._waiting]
            try:
                quiet = not await self._serve(readers)
                pause = min(2 * pause, IDLE_ROUND_SECONDS) if quiet else ROUND_SECONDS
            except ChatError as error:  # the client has logged it
                _fail(readers, error)
                pause = min(2 * pause, AWAY_ROUND_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._joined.wait()

    async def _serve(self, readers: Sequence[_Reader]) -> bool:
        """Read once for all of `readers`; returns whether anything came."""
        streams: dict[str, list[_Reader]] = {}
        for reader in readers:
            streams.setdefault(reader.key, []).append(reader)
        came = False
        keys = [*streams]
        for chunk in (keys[start : start + STREAMS_PER_READ] for start in range(0, len(keys), STREAMS_PER_READ)):
            places = [(key, min(reader.after for reader in streams[key])) for key in chunk]
            for key, text in zip(chunk, await self._read(places), strict=True):
                came = came or bool(text)
                for reader in streams[key]:
                    if (text or not reader.patient) and not reader.news.done():
                        reader.news.set_result(text)
        return came

    async def _read(self, places: Sequence[tuple[str, int]]) -> Sequence[bytes]:
        if self._redis.clustered:
            replies = await self._redis.call_all([_reading([place]) for place in places])
            return [text for (text,) in replies]
        texts: list[bytes] = await self._redis.call(*_reading(places))
        return texts


def _decoded(text: bytes) -> list[Batch]:
    """Return the entries in `text`. In the reader's own task, so that what cannot be read harms its readers alone."""
    try:
        return _decoder.decode_lines(text)
    except msgspec.DecodeError as error:
        raise ChatError(Code.INTERNAL, detail=f"an entry of a run's log cannot be read: {error}") from error


def _fail(readers: Iterable[_Reader], error: ChatError) -> None:
    for reader in readers:
        if not reader.patient and not reader.news.done():
            reader.news.set_exception(error)


def _reading(places: Sequence[tuple[str, int]]) -> Command:
    keys, afters = zip(*places, strict=True)
    return ("EVAL", _READ, len(keys), *keys, ENTRIES_PER_READ, *afters)
