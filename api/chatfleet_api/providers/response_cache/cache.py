"""Looks up and keeps answers for requests that must not notice it: an error is a miss, and Redis is not waited for."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.live import Live
from chatfleet_api.providers.response_cache.answer import Answer, read_answer
from chatfleet_api.providers.response_cache.store import AnswerStore, Place
from chatfleet_api.redis.lag_tolerant_timeout import lag_tolerant_timeout
from chatfleet_contract.spec.cache import Cache

LOOK_SECONDS: Final = 0.1
"""Longest that a request waits for the cache."""
PAUSE_SECONDS: Final = 2.0
"""After a failure, no request looks into the cache for so long."""
MOST_WRITES: Final = 32
"""Answers of a pod that are being written at a time; more are not kept."""
CLOSING_SECONDS: Final = 1.0


class ResponseCache:
    """The response cache of a pod."""

    def __init__(self, store: AnswerStore, settings: Live[Cache], *, clock: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self.hits = 0
        self.misses = 0
        self.failures = 0
        """Looks that failed, or were not made so soon after one that did."""
        self.bytes_read = 0
        self.bytes_written = 0
        self._paused_until = 0.0
        self._writing: set[asyncio.Future[None]] = set()

    async def find(self, place: Place, *, max_age_seconds: int | None = None) -> tuple[Answer, int] | None:
        """Return an answer, and its age in seconds; None: there is none, or none as young as that. Never raises."""
        ttl = self._settings().ttl_seconds
        most = ttl if max_age_seconds is None else min(ttl, max_age_seconds)
        if self._is_paused():
            self.failures += 1
            return None
        try:
            async with lag_tolerant_timeout(LOOK_SECONDS):
                found = await self._store.find(place, max_age_seconds=most)
        except (ChatError, TimeoutError):
            self._pause()
            self.failures += 1
            return None
        answer = None if found is None else read_answer(found.kept)
        if found is None or answer is None:
            self.misses += 1
            return None
        self.hits += 1
        self.bytes_read += len(found.kept)
        return answer, found.age_seconds

    def keep(self, place: Place, answer: bytes) -> None:
        """Keep an answer, in the background; it is lost if Redis does not take it."""
        if not self._is_paused() and len(self._writing) < MOST_WRITES:
            task = asyncio.ensure_future(self._keep(place, answer))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        """Wait at the end of the block for what is being written."""
        try:
            yield
        finally:
            if self._writing:
                _, late = await asyncio.wait(self._writing, timeout=CLOSING_SECONDS)
                for task in late:
                    task.cancel()

    async def _keep(self, place: Place, answer: bytes) -> None:
        settings = self._settings()
        try:
            await self._store.keep(place, answer, ttl_seconds=settings.ttl_seconds, max_bytes=settings.max_bytes)
        except ChatError:
            self._pause()
        else:
            self.bytes_written += len(answer)

    def _is_paused(self) -> bool:
        return self._clock() < self._paused_until

    def _pause(self) -> None:
        self._paused_until = self._clock() + PAUSE_SECONDS
