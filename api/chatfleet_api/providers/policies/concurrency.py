"""Keeps the number of requests that one pod has open at an upstream within its limit; more wait their turn."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Piece, Provider

_TAKEN: Final = "All of this server's requests to the model's provider are taken."
_RETRY_AFTER: Final = 1.0


class Slots(asyncio.Semaphore):
    """The requests that one upstream may be asked at a time, and who waits to make one."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit
        self.queued = 0

    @property
    def taken(self) -> int:
        """Requests that are open."""
        return self.limit - self._value

    async def take(self, patience_seconds: float) -> None:
        """Wait for a slot, in order of arrival; raises `TimeoutError`."""
        self.queued += 1
        try:
            async with asyncio.timeout(patience_seconds):
                await self.acquire()
        finally:
            self.queued -= 1


class Limited:
    """A `Provider` that holds one of `slots` for as long as a request is open."""

    def __init__(self, inner: Provider, slots: Slots, *, patience_seconds: float) -> None:
        """Share `slots` with the other models of the same upstream; wait for one no longer than `patience_seconds`."""
        self._inner = inner
        self._slots = slots
        self._patience = patience_seconds

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Piece], None]:
        """Wait for a slot, in order of arrival, then ask, and yield the answer as it comes."""
        try:
            await self._slots.take(self._patience)
        except TimeoutError as error:
            told = f"waited {self._patience} s for a slot; raise maxConcurrentRequests or add replicas"
            raise ChatError(Code.AT_CAPACITY, _TAKEN, retry_after=_RETRY_AFTER, detail=told) from error
        try:
            async with aclosing(self._inner.stream(request)) as batches:
                async for pieces in batches:
                    yield pieces
        finally:
            self._slots.release()

    async def check(self) -> None:
        """Check the upstream; that takes no slot, since the answer matters most when all are taken."""
        await self._inner.check()
