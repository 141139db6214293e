"""Keeps the number of requests that one pod has open at an upstream within its limit; more wait their turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Provider, Stream

_RETRY_AFTER: Final = 1.0


class Slots(asyncio.Semaphore):
    """The requests that may be open at one upstream, and those that wait for one to end."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit
        self.queued = 0

    @property
    def taken(self) -> int:
        """Requests that are open."""
        return self.limit - self._value

    async def take(self, timeout_seconds: float) -> None:
        """Wait for a slot, in order of arrival; raises `TimeoutError`."""
        self.queued += 1
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.acquire()
        finally:
            self.queued -= 1

    @asynccontextmanager
    async def held(self, timeout_seconds: float) -> AsyncIterator[None]:
        """Hold a slot within the block; raise `ChatError(AT_CAPACITY)` when none is free in time."""
        try:
            await self.take(timeout_seconds)
        except TimeoutError as error:
            message = f"The server is at capacity for this model ({self.limit} upstream requests)."
            detail = f"no slot within {timeout_seconds} s; raise maxConcurrentRequests or add replicas"
            raise ChatError(Code.AT_CAPACITY, message, retry_after=_RETRY_AFTER, detail=detail) from error
        try:
            yield
        finally:
            self.release()


class ConcurrencyLimited:
    """A `Provider` that holds one of `slots`, shared by the models of an upstream, for as long as a stream is open."""

    def __init__(self, inner: Provider, slots: Slots, *, timeout_seconds: float) -> None:
        self._inner = inner
        self._slots = slots
        self._timeout = timeout_seconds

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[Stream]:
        """Wait for a slot, in order of arrival, then open."""
        async with self._slots.held(self._timeout), self._inner.open(request) as stream:
            yield stream
