"""Redis away: answers go on without it, what needs it is refused at once, and with it all comes back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

import aiohttp

from chatfleet_lab.chaos.fleet import Pod, Settings
from chatfleet_lab.chaos.measure import milliseconds
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, outcome
from harness.clients.client import Question
from harness.faults.toxics import BLACKHOLE, HEALTHY, REFUSING, Faults, Toxics
from harness.polling import eventually_async
from harness.redis.proxied import Server, open_single
from harness.upstream.script import Script

STREAMS = {"short": 20, "long": 100}
ROUNDS = {"short": 1, "long": 1}
GAP = 0.05
TOKENS = {"short": 40, "long": 300}
"""Of the streams that run meanwhile: with the gap, 2 s or 15 s."""
REFUSED_WITHIN = {"short": 3.0, "long": 1.5}
"""Seconds in which a turn that needs Redis is refused: 1, and more for busy machines."""
BACK_WITHIN = 5.0
"""Seconds after its return in which Redis is used again."""
KEPT_WITHIN = 10.0
"""Seconds after its return in which the answers that ran meanwhile are kept."""
PATIENCE = 6.0
"""Seconds beyond its length that a client waits for an answer."""


class Outage(NamedTuple):
    """A way in which Redis can be away."""

    name: str
    begin: Callable[[Server], Awaitable[object]]
    end: Callable[[Server], Awaitable[object]]


async def _pause(server: Server) -> None:
    server.program.pause()


async def _go_on(server: Server) -> None:
    server.program.resume()


async def _refuse(server: Server) -> None:
    await server.proxy.set(REFUSING)
    server.proxy.reset()


async def _heal(server: Server) -> None:
    await server.proxy.set(HEALTHY)


async def _swallow(server: Server) -> None:
    await server.proxy.set(BLACKHOLE)


async def _delay(server: Server) -> None:
    await server.proxy.set(Faults(down=Toxics(latency=2.0)))


async def _fill(server: Server) -> None:
    await server.command("CONFIG", "SET", "maxmemory", "1")


async def _empty(server: Server) -> None:
    await server.command("CONFIG", "SET", "maxmemory", "0")


async def _demote(server: Server) -> None:
    await server.command("REPLICAOF", "127.0.0.1", "1")


async def _restore(server: Server) -> None:
    await server.command("REPLICAOF", "NO", "ONE")


PAUSED = Outage("paused", _pause, _go_on)
KILLED = Outage("killed", Server.kill, Server.start)
FULL = Outage("out of memory", _fill, _empty)
OUTAGES = {
    "short": (KILLED, PAUSED, FULL),
    "long": (
        *(KILLED, PAUSED, FULL),
        Outage("read-only", _demote, _restore),
        Outage("refused", _refuse, _heal),
        Outage("black hole", _swallow, _heal),
        Outage("2 s late", _delay, _heal),
    ),
}


async def play(trial: Trial) -> Findings:
    """Take Redis away in every manner, one after the other, under streams."""
    found = Findings()
    async with (
        open_single(trial.folder / "redis") as redis,
        trial.fleet(Settings(redis_url=redis.url, server=trial.server)) as fleet,
    ):
        for outage in OUTAGES[trial.size] * ROUNDS[trial.size] if trial.protected else (PAUSED,):
            await _Trial(trial, found, fleet.pods[0], redis.servers[0], outage).run()
    return found


@dataclass(frozen=True)
class _Trial:
    """One outage."""

    trial: Trial
    found: Findings
    pod: Pod
    redis: Server
    outage: Outage

    async def run(self) -> None:
        """Take Redis away under streams, see what goes on and what is refused; bring it back, see what is kept."""
        talks = [await self.trial.conversation(lambda: self.pod.url) for _ in range(2)] if self.trial.protected else []
        running = [
            *self._completions(TOKENS[self.trial.size]),
            *(self._turn(talk, TOKENS["short"]) for talk in talks[:1]),
        ]
        streams = asyncio.ensure_future(self._ask(running))
        await self.trial.until_streaming(running)
        await self.outage.begin(self.redis)
        self.found.count("outages")
        for talk in talks[1:]:
            await self._is_refused(talk)
        for judged in (*await self._ask(self._completions(5)), *await streams):
            self.found.count(judged.verdict)
            what = f"an answer of {judged.question.dialect} ended as {outcome(judged.verdict, judged.received)}"
            self._require(judged.verdict is Verdict.COMPLETE, what)
        await self.outage.end(self.redis)
        for talk, check in zip(talks, (self._is_kept, self._is_back), strict=False):
            await check(talk)

    async def _is_refused(self, talk: str) -> None:
        ((_, received, verdict),) = await self._ask([self._turn(talk, 3)])
        waited = received.ended - received.asked
        refused = (received.status, received.ends) == (503, ["storage_unavailable"])
        self._require(refused, f"a turn that needs Redis got status {received.status} and {outcome(verdict, received)}")
        self._require(bool(received.retry_after), "a turn was refused without Retry-After")
        self._require(waited <= REFUSED_WITHIN[self.trial.size], f"a turn was refused only after {waited:.1f} s")
        self._require(await self.pod.is_ready(), "the pod reported that it is not ready")
        self._slowest("slowest refusal ms", waited)

    async def _is_back(self, talk: str) -> None:
        async def answered() -> bool:
            ((_, _, verdict),) = await self._ask([self._turn(talk, 3)])
            return verdict is Verdict.COMPLETE

        await self._within(BACK_WITHIN, answered, "a turn was answered again", "slowest return ms")

    async def _is_kept(self, talk: str) -> None:
        async def kept() -> bool:
            with suppress(aiohttp.ClientError):
                messages = await self.trial.client.messages(self.pod.url, talk)
                return [message.status for message in messages if message.role == "assistant"] == ["complete"]
            return False

        await self._within(KEPT_WITHIN, kept, "the answer that ran meanwhile was kept", "slowest keeping ms")

    async def _within(self, seconds: float, holds: Callable[[], Awaitable[bool]], what: str, figure: str) -> None:
        began = monotonic()
        try:
            await eventually_async(holds, seconds=seconds)
        except TimeoutError:
            self._require(holds=False, otherwise=f"not even {seconds:g} s after its return {what}")
        self._slowest(figure, monotonic() - began)

    async def _ask(self, questions: Sequence[Question]) -> list[Judgement]:
        longest = max(question.script.tokens for question in questions) * GAP
        return await self.trial.ask_all(questions, lambda: self.pod.url, patience=longest + PATIENCE)

    def _completions(self, tokens: int) -> list[Question]:
        number = STREAMS[self.trial.size]
        scripts = [Script(self.trial.key(), tokens, gap=GAP) for _ in range(number)]
        return [Question(script, "openai") for script in scripts]

    def _turn(self, talk: str, tokens: int) -> Question:
        return Question(Script(self.trial.key(), tokens, gap=GAP), "anthropic", "native", talk)

    def _require(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001  # reads like `assert`
        self.found.require(holds, f"Redis {self.outage.name}: {otherwise}.")

    def _slowest(self, figure: str, seconds: float) -> None:
        before = self.found.figures.get(figure, 0)
        self.found.figures[figure] = max(int(before), milliseconds(seconds))


SCENARIO = Scenario(
    "Redis outage",
    "During a Redis outage open answers and completions go on, other turns get 503 with Retry-After; nothing is lost.",
    "a relay that waits for Redis at every token",
    play,
    hurt=("outages", "complete"),
    targets={"slowest refusal ms": "≤ 1,000", "slowest return ms": "≤ 5,000"},
    aim="five kinds of outage, 60 s each, under 300 streams",
)
