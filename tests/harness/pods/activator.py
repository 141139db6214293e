"""A waiting room without a server, and API pods that come, answer and break as a test says."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from chatfleet_api.activator.app import create_app
from chatfleet_api.activator.holding import Holding
from chatfleet_api.activator.pods import Asked, CutOffError, NobodyThereError, watch
from chatfleet_api.activator.probes import Room
from chatfleet_api.pod.lifecycle import Lifecycle, Phase
from chatfleet_api.pod.metrics import Meter
from harness.pods.runs import loop_clock

SSE = (b"content-type", b"text/event-stream; charset=utf-8")
JSON_BODY = (b"content-type", b"application/json")


@dataclass
class FakeAnswer:
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
            raise CutOffError


@dataclass
class FakePods:
    """`Pods` that are there or not; held to the same promises as the real ones in tests/contract."""

    up: bool = False
    refuses: int = 0
    """How many requests are refused although there seemed to be a pod."""
    lost: bool = False
    """Whether the connection breaks before there is an answer."""
    thinks: float = 0.0
    """Seconds until there is an answer."""
    answer: FakeAnswer = field(default_factory=FakeAnswer)
    asked: list[Asked] = field(default_factory=list)
    open: int = 0

    async def there(self) -> bool:
        """Look whether a pod takes requests and is to stay."""
        return self.up

    @asynccontextmanager
    async def ask(self, asked: Asked) -> AsyncIterator[FakeAnswer]:
        """Pass a request on."""
        if self.refuses:
            self.refuses -= 1
            raise NobodyThereError
        self.asked.append(asked)
        await asyncio.sleep(self.thinks)
        if self.lost:
            raise CutOffError
        self.open += 1
        try:
            yield self.answer
        finally:
            self.open -= 1


class Front:
    """A waiting room's serving port; looks for pods while the block is open."""

    def __init__(self, pods: FakePods, *, places: int = 3, hold: float = 120) -> None:
        self.pods = pods
        self.lifecycle = Lifecycle(loop_clock)
        self.lifecycle.enter(Phase.SERVING)
        self.room = Room(places, self.lifecycle, clock=loop_clock)
        self._arrival = arrival = asyncio.Event()
        self.app = create_app(
            Holding(self.room, pods, arrival, activation_timeout_seconds=hold, heartbeat_seconds=15),
            Meter("1.2.3"),
            clock=loop_clock,
            new_id=lambda: "made-id",
        )

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(watch(self.pods, self.room, self._arrival))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
