"""Who waits, and whether there is anybody to wait for: what probes, KEDA and metrics are told. Plain values."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.pod.lifecycle import Lifecycle
from chatfleet_api.pod.monitors import STUCK_SECONDS

MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""Bodies that are held at a time, all together."""
RETRY_SECONDS: Final = 5.0
"""When those that are refused should try again."""


class Room:
    """A bounded number of places. Written by the main loop, read by the thread that answers probes."""

    def __init__(self, places: int, lifecycle: Lifecycle, *, clock: Callable[[], float]) -> None:
        self.pods = False
        """Whether an API pod was there when last looked."""
        self.waiting = 0
        self._places = places
        self._lifecycle = lifecycle
        self._held = 0
        self._clock = clock
        self._looked = clock()

    def look(self, *, pods: bool) -> None:
        """Tell whether there are pods, and with it that the main loop runs."""
        self.pods = pods
        self._looked = self._clock()

    @contextmanager
    def place(self, size: int) -> Generator[None, None, None]:
        """Hold one request with a body of `size` bytes; raises `ChatError` when the room is full."""
        if self.waiting >= self._places or self._held + size > MAX_HELD_BYTES:
            says = "Too many requests wait for a server that is being started."
            raise ChatError(Code.AT_CAPACITY, says, retry_after=RETRY_SECONDS)
        self.waiting += 1
        self._held += size
        try:
            yield
        finally:
            self.waiting -= 1
            self._held -= size

    def not_live(self) -> str | None:
        """Return why this process should be restarted: never for what it waits for."""
        age = self._clock() - self._looked
        return f"no pod has been looked for since {age:.0f} s" if age > STUCK_SECONDS else None

    def not_ready(self) -> str | None:
        """Return why requests should not come here: above all because a pod takes them."""
        if reason := self._lifecycle.not_ready():
            return reason
        return "pods take the requests" if self.pods else None

    def not_started(self) -> str | None:
        """Return why this process has not started yet."""
        return self._lifecycle.not_started()
