"""Tailing the logs of runs: any number of readers of this pod, and one command at a time for all of them."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.runs.log.interface import Moved
from chatfleet_api.runs.log.tasks import cancel
from chatfleet_api.runs.tail import Batch, merged

ENTRIES_PER_READ: Final = 256
STREAMS_PER_READ: Final = 64
"""With the above, a reply is 2 MB at most."""
ROUND_SECONDS: Final = 0.015
"""Pause between two rounds, in which what comes is gathered."""
IDLE_ROUND_SECONDS: Final = 0.05
"""Longest that the pause gets while nothing comes."""
MAX_BACKOFF_SECONDS: Final = 1.0
"""Longest back-off between two rounds while Redis is unreachable."""

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


def contiguous(found: Sequence[Batch], after: int) -> Batch | None:
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
    return merged(following) if following else None


class _Reader:
    """A reader that waits: for what is there now, or, when `following`, for what will come."""

    __slots__ = ("after", "following", "key", "news")

    def __init__(self, key: str, after: int, *, following: bool) -> None:
        self.key = key
        self.after = after
        self.following = following
        self.news: asyncio.Future[bytes] = asyncio.Future()


class LogTailer:
    """The readers of this pod, each at its own place in its own stream, all served by one poller.

    Polled and not blocked upon: a blocked read cannot take in who joins, needs a connection without a timeout, and is
    not possible across the slots of a cluster.
    """

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._waiting: set[_Reader] = set()
        self._joined = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._closing = False

    async def now(self, key: str, after: int) -> list[Batch]:
        """Return entries beyond `after`, the first of them when they are many; raises STORAGE_UNAVAILABLE."""
        return await self._wait(_Reader(key, after, following=False))

    async def later(self, key: str, after: int, *, seconds: float) -> list[Batch]:
        """Wait for entries beyond `after`, also while Redis is unreachable; returns none when none came for so long."""
        try:
            async with asyncio.timeout(seconds):
                return await self._wait(_Reader(key, after, following=True))
        except TimeoutError:
            return []

    def close_readers(self) -> None:
        """Raise `Moved` in every reader that has to wait for news, from now on."""
        self._closing = True
        for reader in self._waiting:
            if reader.following and not reader.news.done():
                reader.news.set_exception(Moved())

    async def aclose(self) -> None:
        """Read no more."""
        if self._poller:
            await cancel(self._poller)

    async def _wait(self, reader: _Reader) -> list[Batch]:
        if self._closing and reader.following:
            raise Moved
        self._waiting.add(reader)
        if not reader.following:
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
                pause = min(2 * pause, MAX_BACKOFF_SECONDS)
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
                    if (text or not reader.following) and not reader.news.done():
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
        if not reader.following and not reader.news.done():
            reader.news.set_exception(error)


def _reading(places: Sequence[tuple[str, int]]) -> Command:
    keys, afters = zip(*places, strict=True)
    return ("EVAL", _READ, len(keys), *keys, ENTRIES_PER_READ, *afters)
