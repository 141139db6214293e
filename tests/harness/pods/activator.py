"""An activator without a server, and API pods that come, answer and break as a test says."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from chatfleet_api.activator.activator import Activator
from chatfleet_api.activator.app import create_app
from chatfleet_api.activator.backend import ConnectionLostError, NoPodError, ProxiedRequest
from chatfleet_api.activator.pending import PendingRequests, PodWatch
from chatfleet_api.pod.lifecycle import Lifecycle, Phase
from chatfleet_api.pod.metrics import Meter
from chatfleet_contract.spec import AccessLines
from harness.pods.live import fixed
from harness.pods.runs import loop_clock

SSE = (b"content-type", b"text/event-stream; charset=utf-8")
JSON_BODY = (b"content-type", b"application/json")


@dataclass
class FakeResponse:
    """What a pod answers: `pieces` after `pause` seconds each; `cut`: and then its connection breaks."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [SSE])
    pieces: tuple[bytes, ...] = (b"data: 1\n\n", b"data: [DONE]\n\n")
    pause: float = 0.0
    cut: bool = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Read the body as it comes."""
        for piece in self.pieces:
            await asyncio.sleep(self.pause)
            yield piece
        if self.cut:
            raise ConnectionLostError


@dataclass
class FakeBackend:
    """`Backend` that are there or not; held to the same promises as the real ones in tests/contract."""

    up: bool = False
    refuses: int = 0
    """How many requests are refused although there seemed to be a pod."""
    lost: bool = False
    """Whether the connection breaks before there is an answer."""
    thinks: float = 0.0
    """Seconds until there is an answer."""
    answer: FakeResponse = field(default_factory=FakeResponse)
    asked: list[ProxiedRequest] = field(default_factory=list)
    open: int = 0

    async def ready(self) -> bool:
        """Return whether a pod accepts requests."""
        return self.up

    @asynccontextmanager
    async def send(self, request: ProxiedRequest) -> AsyncIterator[FakeResponse]:
        """Proxy a request."""
        if self.refuses:
            self.refuses -= 1
            raise NoPodError
        self.asked.append(request)
        await asyncio.sleep(self.thinks)
        if self.lost:
            raise ConnectionLostError
        self.open += 1
        try:
            yield self.answer
        finally:
            self.open -= 1


class Front:
    """An activator's serving port; checks for pods while the block is open."""

    def __init__(self, pods: FakeBackend, *, places: int = 3, hold: float = 120) -> None:
        self.pods = pods
        self.lifecycle = Lifecycle(loop_clock)
        self.lifecycle.enter(Phase.SERVING)
        self.watch = PodWatch(pods.ready, clock=loop_clock)
        self.pending = PendingRequests(places, self.watch, self.lifecycle)
        self.app = create_app(
            Activator(self.pending, self.watch, pods, activation_timeout_seconds=hold, heartbeat_seconds=15),
            Meter("1.2.3"),
            clock=loop_clock,
            new_id=lambda: "made-id",
            lines=fixed(AccessLines.ALL),
        )

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self.watch.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
