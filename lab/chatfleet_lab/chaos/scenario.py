"""What a scenario is: a promise, a way to hurt it, and a control run without the protection, in which it breaks."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

import aiohttp

from chatfleet_lab.chaos.fleet import BASELINE, CHATFLEET, Fleet, Platform, Server, Settings
from chatfleet_lab.chaos.verdict import Verdict, judge
from harness.clients.client import PATIENCE, Client, NoStreamError, Question, open_client
from harness.clients.received import ReceivedStream
from harness.polling import eventually_async
from harness.upstream.process import Upstream, open_upstream

Size: TypeAlias = Literal["short", "long"]
Variant: TypeAlias = Literal["protected", "control"]
VARIANTS: Final[tuple[Variant, ...]] = ("protected", "control")
AGAIN: Final = 0.1
"""Seconds before what was refused is asked for again."""
LOOK: Final = 0.1
"""Seconds between two looks at what costs others more than the look of a process."""
Figure: TypeAlias = int | float | str


@dataclass
class Findings:
    """What one run showed."""

    figures: dict[str, Figure] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    """Sentences that say which promise was broken, and how."""

    def require(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001  # reads like `assert`
        """Note a broken promise unless it holds."""
        if not holds:
            self.failures.append(otherwise)

    def count(self, what: str) -> None:
        """Count one more of something."""
        self.figures[str(what)] = int(self.figures.get(what, 0)) + 1


class Judgement(NamedTuple):
    """A question, what came of it, and what that was worth."""

    question: Question
    received: ReceivedStream
    verdict: Verdict


@dataclass
class Trial:
    """Where one run of a scenario takes place: what happens is noted, files are left in `folder`."""

    folder: Path
    size: Size
    variant: Variant
    random: random.Random
    """The only source of chance; its seed is in the result."""
    client: Client
    upstream: Upstream
    place: Platform
    """Where its fleets run."""
    _keys: Iterator[int] = field(default_factory=count)

    @property
    def protected(self) -> bool:
        """Whether the protection is on."""
        return self.variant == "protected"

    @property
    def server(self) -> Server:
        """The server, in scenarios whose control run has a naive relay in the place of Chatfleet."""
        return CHATFLEET if self.protected else BASELINE

    def server_without(self, protection: str) -> Server:
        """Return the server, in scenarios whose control run has Chatfleet without one of its protections."""
        return CHATFLEET if self.protected else ("chatfleet_lab.chaos.control", protection)

    def key(self) -> str:
        """Return a key that no other question has."""
        return f"k{next(self._keys)}"

    def fleet(self, settings: Settings, *, pods: int = 1) -> AbstractAsyncContextManager[Fleet]:
        """Run a fleet that asks this trial's upstream."""
        return self.place.open_fleet(Path(mkdtemp(dir=self.folder)), self.upstream.url, settings, pods=pods)

    async def ask_all(
        self,
        questions: Sequence[Question],
        url: Callable[[], str],
        *,
        at_once: int | None = None,
        patience: float = PATIENCE,
    ) -> list[Judgement]:
        """Ask all questions, at most so many `at_once`, each at the next `url`; return what came, judged."""
        turn = asyncio.Semaphore(at_once or len(questions))

        async def ask(question: Question) -> ReceivedStream:
            async with turn:
                return await self.client.ask(url(), question, patience=patience)

        return await self.judge_all(questions, await asyncio.gather(*map(ask, questions)))

    async def conversation(self, url: Callable[[], str], user: str | None = None) -> str:
        """Begin a conversation of a user at the next `url`, as patiently as the pods ask for when they have no time."""
        while True:
            with suppress(aiohttp.ClientError, NoStreamError):
                return await self.client.converse(url(), user)
            await asyncio.sleep(AGAIN)

    async def until_streaming(self, questions: Sequence[Question]) -> None:
        """Wait until the upstream has sent a token of each answer; raises `TimeoutError` when that takes too long."""

        async def streaming() -> bool:
            calls = await self.upstream.ledger(question.script for question in questions)
            return all(any(call.tokens for call in of_one) for of_one in calls.values())

        await eventually_async(streaming, seconds=PATIENCE, every=LOOK)

    async def judge_all(self, questions: Sequence[Question], streams: Sequence[ReceivedStream]) -> list[Judgement]:
        """Return what each received was worth, by the upstream's ledger as it now is."""
        calls = await self.upstream.ledger(question.script for question in questions)
        return [
            Judgement(question, received, judge(received, question.script, calls[question.script.key]))
            for question, received in zip(questions, streams, strict=True)
        ]


@asynccontextmanager
async def open_trial(folder: Path, size: Size, variant: Variant, seed: int, place: Platform) -> AsyncIterator[Trial]:
    """Open an trial whose files are in `folder`."""
    async with open_client() as client, open_upstream(folder) as upstream:
        chance = random.Random(seed)  # noqa: S311  # no secret
        yield Trial(folder, size, variant, chance, client, upstream, place)


class Scenario(NamedTuple):
    """A promise that is tried."""

    name: str
    promise: str
    """A sentence that the protected run must bear out."""
    control: str
    """What is off, or in the place of Chatfleet, in the control run, which must fail."""
    play: Callable[[Trial], Awaitable[Findings]]
    hurt: tuple[str, ...] = ()
    """Figures that count what was hurt, and how much of it."""
    targets: Mapping[str, str] = MappingProxyType({})
    """What is aimed at, by the name of the figure that tells it."""
    aim: str = ""
    """How much would have to be hurt to trust the figures on their own."""
    on_node: bool = False
    """Whether it is also played on a real node: that is where pods die, end, sleep, or are asked for what another does.

    The others hurt what is the same there, an upstream or a client; or they need all on one loopback: sentinels and
    clusters of Redis, which announce their addresses, and proxies before each pod."""
