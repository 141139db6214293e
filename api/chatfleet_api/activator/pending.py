"""Pending requests and the pods that they wait for: what probes, KEDA and metrics read. Plain values.

Written by the main loop, read by the thread that answers probes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.pod.lifecycle import Lifecycle
from chatfleet_api.pod.monitors import STUCK_SECONDS

MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
"""Bodies of pending requests, all together."""
RETRY_SECONDS: Final = 5.0
"""Value of Retry-After for requests that are refused."""
POLL_SECONDS: Final = 0.5
"""Time between two checks for a ready pod."""


class PodWatch:
    """Whether an API pod is ready."""

    def __init__(self, ready: Callable[[], Awaitable[bool]], *, clock: Callable[[], float]) -> None:
        self.ready = False
        """Whether a pod was ready at the last check."""
        self._check = ready
        self._clock = clock
        self._checked = clock()
        self._arrival = asyncio.Event()

    async def run(self) -> None:
        """Check for a pod again and again, until cancelled."""
        while True:
            ready = await self._check()
            self.ready, self._checked = ready, self._clock()
            if ready:
                self._arrival.set()
            else:
                self._arrival.clear()
            await asyncio.sleep(POLL_SECONDS)

    async def wait(self) -> None:
        """Return when a pod is ready."""
        await self._arrival.wait()

    def lost(self) -> None:
        """Wait for the next check: no pod accepted a request."""
        self._arrival.clear()

    def seconds_since_check(self) -> float:
        return self._clock() - self._checked


class PendingRequests:
    """A bounded number of requests that wait for a pod, and the probes of the process that holds them."""

    def __init__(self, most: int, pods: PodWatch, lifecycle: Lifecycle) -> None:
        self.waiting = 0
        self._most = most
        self._bytes = 0
        self._pods = pods
        self._lifecycle = lifecycle

    @contextmanager
    def hold(self, size: int) -> Generator[None, None, None]:
        """Hold one request with a body of `size` bytes; raises `ChatError(AT_CAPACITY)` when there are too many."""
        if self.waiting >= self._most or self._bytes + size > MAX_PENDING_BYTES:
            message = "Too many requests are waiting for a pod to start."
            raise ChatError(Code.AT_CAPACITY, message, retry_after=RETRY_SECONDS)
        self.waiting += 1
        self._bytes += size
        try:
            yield
        finally:
            self.waiting -= 1
            self._bytes -= size

    def not_live(self) -> str | None:
        """Return why this process should be restarted: never for what it waits for."""
        age = self._pods.seconds_since_check()
        return f"the last check for a ready pod was {age:.0f} s ago" if age > STUCK_SECONDS else None

    def not_ready(self) -> str | None:
        """Return why requests should not come here: above all because a pod is ready for them."""
        if reason := self._lifecycle.not_ready():
            return reason
        return "API pods are ready; requests go to them" if self._pods.ready else None

    def not_started(self) -> str | None:
        """Return why this process has not started yet."""
        return self._lifecycle.not_started()
