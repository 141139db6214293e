"""Keeps the number of requests that one pod has open at an upstream within its limit; more wait their turn."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from chatfleet_api.chat.request import ChatRequest
from chatfleet_api.errors import ChatError, Code
from chatfleet_api.providers.port import Piece, Provider

_TAKEN: Final = "All of this server's requests to the model's provider are taken."
_RETRY_AFTER: Final = 1.0


class Limited:
    """A `Provider` that holds one of `slots` for as long as a request is open."""

    def __init__(self, inner: Provider, slots: asyncio.Semaphore, *, patience_seconds: float) -> None:
        """Share `slots` with the other models of the same upstream; wait for one no longer than `patience_seconds`."""
        self._inner = inner
        self._slots = slots
        self._patience = patience_seconds

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Piece], None]:
        """Wait for a slot, in order of arrival, then ask, and yield the answer as it comes."""
        try:
            async with asyncio.timeout(self._patience):
                await self._slots.acquire()
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
