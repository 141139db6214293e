"""Exactly once: a message that is sent many times is answered once, whatever is cut between client, pod and Redis.

And it is paid once: what the pods count, and what is kept with each answer, is what the upstream has told.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import aiohttp

from chatfleet_contract.metrics import TOKENS_TOTAL
from chatfleet_lab.chaos.fleet import MODELS, Fleet, Settings
from chatfleet_lab.chaos.scenario import LOOK, Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, listed, outcome
from harness.clients.client import Message, Question, Tokens
from harness.faults.proxy import Proxy
from harness.faults.toxics import Faults, Toxics
from harness.net import LOOPBACK
from harness.polling import eventually_async
from harness.redis.proxied import open_single
from harness.upstream.script import Script
from harness.upstream.wires import INPUT_TOKENS

KEYS = {"short": 60, "long": 500}
AT_ONCE = 30
SENDS = (1, 5)
"""How often each message is sent over lines that break."""
TOKENS = (3, 7)
"""Of an answer: somewhere between these, so that one cannot be taken for another."""
GAP = 0.02
CUT = (0, 3_000)
"""Bytes of a reply after which its connection is cut: somewhere between these; an answer has about 1,500."""
RECUT = 0.02
"""Seconds between two choices of those bytes."""
DROPS = (0.02, 0.3)
"""Seconds between two losses of a connection to Redis, with the reply that is under way on it."""
PATIENCE = 20.0
COUNTED = 5.0
"""Seconds after the last answer in which the pods have counted it."""
AGAIN = "storage_unavailable", "conversation_busy", "conversation_changed"
"""What tells a sender to try again."""


async def play(trial: Trial) -> Findings:
    """Send each message some times over lines that break, then over one that does not, until it is answered."""
    found = Findings()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_single(trial.folder / "redis"))
        settings = Settings(redis_url=redis.url, server=trial.server_without("idempotency"))
        fleet = await stack.enter_async_context(trial.fleet(settings, pods=2))
        lines = [await stack.enter_async_context(Proxy(pod.port)) for pod in fleet.pods]
        await stack.enter_async_context(_meanwhile(lambda: _cut(trial, lines)))
        await stack.enter_async_context(_meanwhile(lambda: _drop(trial, found, redis.servers[0].proxy)))
        turn = asyncio.Semaphore(AT_ONCE)
        messages = _Messages(trial, found, fleet, [f"http://{LOOPBACK}:{line.port}" for line in lines])

        async def one() -> None:
            async with turn:
                await messages.run()

        await asyncio.gather(*(one() for _ in range(KEYS[trial.size])))
        await messages.compare()
    return found


@asynccontextmanager
async def _meanwhile(act: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do something again and again while the block runs."""

    async def on_and_on() -> None:
        while True:
            await act()

    task = asyncio.create_task(on_and_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _cut(trial: Trial, lines: list[Proxy]) -> None:
    """Let connections from now on be cut after another number of bytes."""
    for line in lines:
        await line.set(Faults(down=Toxics(cut_after=trial.random.randint(*CUT))))
    await asyncio.sleep(RECUT)


async def _drop(trial: Trial, found: Findings, redis: Proxy) -> None:
    """Lose one of the connections to Redis."""
    await asyncio.sleep(trial.random.uniform(*DROPS))
    if redis.links:
        trial.random.choice(list(redis.links)).reset()
        found.count("connections to Redis lost")


@dataclass(frozen=True)
class _Messages:
    """Messages of one kind."""

    trial: Trial
    found: Findings
    fleet: Fleet
    lines: list[str]
    """URLs of the pods by way of what cuts their replies."""
    asked: list[Script] = field(default_factory=list)
    """Of the upstream, perhaps."""

    async def run(self) -> None:
        """Send one message, and look how often it was answered."""
        script, model = self._script(), self.trial.random.choice(MODELS)
        talk = await self.trial.conversation(lambda: self.fleet.url)
        question = Question(script, model, "native", talk, once=script.key)
        sends = [self._send(question) for _ in range(self.trial.random.randint(*SENDS))]
        if self.trial.random.random() < 0.5:
            await asyncio.gather(*sends)
        else:
            for send in sends:
                await send
        answered = await self._answered(question)
        self.found.count("keys")
        self.found.require(
            answered.verdict is Verdict.COMPLETE, f"A message ended as {outcome(answered.verdict, answered.received)}."
        )
        await self._once(question)

    async def compare(self) -> None:
        """Look whether the pods have counted what the upstream has told, to the token."""
        calls = (await self.trial.upstream.ledger(self.asked)).values()
        told = Tokens(INPUT_TOKENS * sum(map(len, calls)), sum(call.tokens for of_one in calls for call in of_one))
        counted = told

        async def equal() -> bool:
            nonlocal counted
            counted = Tokens(await self._counted("input"), await self._counted("output"))
            return counted == told

        with suppress(TimeoutError):
            await eventually_async(equal, seconds=COUNTED, every=LOOK)
        self.found.figures |= {"tokens reported": told.output_tokens, "tokens counted": counted.output_tokens}
        self.found.require(
            counted == told, f"The upstream reported {_shown(told)}, and the pods counted {_shown(counted)}."
        )

    async def _counted(self, kind: str) -> int:
        return round(sum([await pod.metric(TOKENS_TOTAL, type=kind) for pod in self.fleet.pods]))

    def _script(self) -> Script:
        """Return another answer to ask for."""
        script = Script(self.trial.key(), self.trial.random.randint(*TOKENS), gap=GAP)
        self.asked.append(script)
        return script

    async def _send(self, question: Question) -> None:
        self.found.count("sends")
        await self.trial.client.ask(self.trial.random.choice(self.lines), question, patience=PATIENCE)

    async def _answered(self, question: Question) -> Judgement:
        """Send once more, and again as long as we are told to."""
        while True:
            (judged,) = await self.trial.ask_all([question], lambda: self.fleet.url)
            if not (judged.verdict is Verdict.REFUSED and judged.received.ends[0] in AGAIN):
                return judged
            await asyncio.sleep(0.1)

    async def _once(self, question: Question) -> None:
        calls = (await self.trial.upstream.ledger([question.script]))[question.script.key]
        self.found.count(f"keys with {len(calls)} upstream calls")
        self.found.require(len(calls) == 1, f"A message caused {len(calls)} upstream calls.")
        kept: list[Message] = []

        async def read() -> bool:
            with suppress(aiohttp.ClientError):
                kept[:] = await self.trial.client.messages(self.fleet.url, str(question.conversation))
            return bool(kept)

        await eventually_async(read)
        roles, costs = [message.role for message in kept], [message.usage for message in kept]
        self.found.require(roles == ["user", "assistant"], f"A conversation has {len(kept)} messages, not 2.")
        told = Tokens(INPUT_TOKENS, question.script.tokens)
        self.found.require(
            costs[1:] == [told], f"An answer of {_shown(told)} is kept as of {', '.join(map(_shown, costs[1:]))}."
        )
        other = await self._answered(replace(question, script=self._script()))
        self.found.count(f"another body under the key: {other.received.status}")
        self.found.require(
            other.received.status == HTTPStatus.UNPROCESSABLE_ENTITY,
            f"Another body under the same key got status {other.received.status} and {listed(other.received.ends)}.",
        )


def _shown(usage: Tokens | None) -> str:
    return f"{usage.input_tokens} + {usage.output_tokens} tokens" if usage else "unknown usage"


SCENARIO = Scenario(
    "exactly once",
    "A message that is sent again under its Idempotency-Key causes one upstream call, is kept once and counted once.",
    "Chatfleet without idempotency keys",
    play,
    hurt=("keys", "sends", "connections to Redis lost"),
    targets={"tokens counted": "tokens reported"},
    aim="10,000 messages, each sent 1 to 5 times, 5 % of replies lost",
)
