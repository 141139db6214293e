"""Usage records: each paid answer is in the sums once, whether it ended, its client left, or its pod was killed.

Each answer is for a user of its own, so the sums by user have a record of each. What they have is compared with what
the upstream has sent.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, NamedTuple

import aiohttp

from chatfleet_contract.metrics import COST_USD_TOTAL, TOKENS_TOTAL
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_lab.chaos.counted import GAP, PRICE, Answers, Fate, compare, cost_of, tokens_of, usd_of
from chatfleet_lab.chaos.fleet import CONTINUED, MODELS, Fleet, Pod, Settings
from chatfleet_lab.chaos.scenario import LOOK, Findings, Scenario, Trial
from harness.clients.client import ClientAPI, Question, Tokens
from harness.polling import eventually_async
from harness.redis.proxied import open_direct
from harness.upstream.script import Script
from harness.upstream.wires import INPUT_TOKENS


class Load(NamedTuple):
    """How much is hurt in a round, which has a Redis of its own."""

    rounds: int
    finished: int
    left: int
    """Answers whose clients leave."""
    at_once: int
    victims: int
    waves: int
    """In each, all victims are killed."""
    doomed: int
    """Answers of each victim."""


LOADS: Final = {"short": Load(1, 12, 45, 45, 1, 1, 8), "long": Load(5, 200, 2_000, 130, 4, 5, 10)}
FINISH_AT_ONCE: Final = 15
STEADY: Final = 2
"""Pods that are not killed."""
PRICING: Final = Pricing(
    input_per_million_tokens=str(PRICE.input_tokens), output_per_million_tokens=str(PRICE.output_tokens)
)
STAY: Final = {"short": (0.1, 3.0), "long": (0.1, 8.0)}
"""Seconds after which a client leaves: somewhere between these."""
ENDLESS: Final = 600
DOOMED: Final = 50
"""Tokens of an answer of a victim, and of one in a conversation, which may go on without its client."""
AGE: Final = (1.3, 1.8)
"""Seconds from the first tokens of the answers of victims to the kill: somewhere between these."""
LEFT_PERCENT: Final = {"short": 15.0, "long": 2.0}
"""By how much the tokens of answers whose clients left may differ; the short form runs on busy machines."""
SETTLED: Final = {"protected": 30.0, "control": 3.0}
"""Seconds in which all has to be counted, once the dead are no longer members of the fleet."""


async def play(trial: Trial) -> Findings:
    """Let answers end, leave others, kill pods that write some, and look what was counted."""
    found, answers = Findings(), Answers()
    for number in range(LOADS[trial.size].rounds):
        async with open_direct(trial.folder / f"redis-{number}") as redis:
            settings = Settings(redis_url=redis.url, pricing=PRICING, server=trial.server_without("records"))
            async with trial.fleet(settings, pods=STEADY + LOADS[trial.size].victims) as fleet:
                of_round = await _Round(trial, found, fleet).play()
        answers.add(of_round)
    compare(found, answers, LEFT_PERCENT[trial.size])
    return found


class _Round:
    """One Redis, and the fleet that counts in it."""

    def __init__(self, trial: Trial, found: Findings, fleet: Fleet) -> None:
        self._trial, self._found, self._fleet = trial, found, fleet
        self._load = LOADS[trial.size]
        self._steady, self._victims = fleet.pods[:STEADY], fleet.pods[STEADY:]
        self._answers = Answers()
        self._today = datetime.now(UTC).date().isoformat()

    async def play(self) -> Answers:
        await self._finish()
        await asyncio.gather(self._leave(), self._kill())
        await self._settle()
        return self._answers

    async def _finish(self) -> None:
        """Let answers end, and compare all that counts them with what the upstream has sent."""
        dialects: Sequence[ClientAPI] = ("native", "openai", "openai-whole")
        questions = [
            await self._question("finished", dialects[number % 3], Script(self._trial.key(), number % 7 + 1), MODELS)
            for number in range(self._load.finished)
        ]
        judged = await self._trial.ask_all(questions, self._url, at_once=FINISH_AT_ONCE)
        ended = [received.status == HTTPStatus.OK and received.ends == ["complete"] for _, received, _ in judged]
        self._found.require(all(ended), f"{ended.count(False)} of {len(ended)} answers did not end whole.")
        told = cost_of(Tokens(INPUT_TOKENS, question.script.tokens) for question in questions)
        counted = ""

        async def agree() -> bool:
            nonlocal counted
            counted = await self._disagreement(questions, told)
            return not counted

        with suppress(TimeoutError):
            await eventually_async(agree, every=LOOK)
        self._found.require(not counted, counted)

    async def _disagreement(self, questions: Sequence[Question], told: Decimal) -> str:
        """Return what has other numbers than the upstream: a message, a conversation, a user, the tenant, a metric."""
        report = await self._trial.client.usage(self._url(), **{"from": self._today})
        by_user = {each.user: each for each in report.data}
        for question in questions:
            expected = Tokens(INPUT_TOKENS, question.script.tokens)
            sums = {f"user {question.user}": by_user.get(str(question.user))}
            if question.conversation is not None:
                kept = (await self._trial.client.messages(self._url(), question.conversation))[-1].usage
                if kept != expected:
                    return f"A message has {kept}, and the upstream sent {expected}."
                of_one = await self._trial.client.usage(self._url(), conversation_id=question.conversation)
                sums["a conversation"] = of_one.total
            for what, each in sums.items():
                if (
                    each is None
                    or (each.requests, tokens_of(each)) != (1, expected)
                    or usd_of(each) != cost_of([expected])
                ):
                    return f"The sums of {what} have {each}, and the upstream sent {expected}."
        metered = sum([await pod.metric(COST_USD_TOTAL) for pod in self._steady])
        tokens = sum([await pod.metric(TOKENS_TOTAL) for pod in self._steady])
        if (usd_of(report.total), round(Decimal(metered), 9)) != (told, told):
            return f"The tenant has {report.total.cost_usd} USD, metrics {metered}, and the upstream's numbers {told}."
        if tokens != report.total.input_tokens + report.total.output_tokens:
            return f"Metrics have {tokens} tokens, and the sums {tokens_of(report.total)}."
        return ""

    async def _leave(self) -> None:
        """Leave answers at any moment; those of conversations are cancelled."""
        turn, load = asyncio.Semaphore(self._load.at_once), self._load

        async def one(number: int) -> None:
            async with turn:
                dialect: ClientAPI = ("openai", "openai-whole", "native")[number % 3]
                script = Script(self._trial.key(), DOOMED if dialect == "native" else ENDLESS, gap=GAP)
                question = await self._question("left", dialect, script, ("openai", "anthropic"))
                stay, url = self._trial.random.uniform(*STAY[self._trial.size]), self._url()
                asking = asyncio.ensure_future(self._trial.client.ask(url, question, patience=stay))
                await asking
                if question.conversation is not None:
                    await self._trial.client.cancel(url, question.conversation)

        await asyncio.gather(*map(one, range(load.left)))

    async def _kill(self) -> None:
        """Kill pods while they write."""
        for wave in range(self._load.waves):
            if wave:  # one by one: what starts at once slows down all that is measured
                self._victims = [await self._fleet.add() for _ in range(self._load.victims)]
            doomed = range(self._load.doomed)
            asked = [await self._doomed(victim, number) for victim in self._victims for number in doomed]
            asking = [asyncio.ensure_future(self._trial.client.ask(url, question)) for url, question in asked]
            await self._trial.until_streaming([question for _, question in asked])
            await asyncio.sleep(self._trial.random.uniform(*AGE))
            for victim in self._victims:
                victim.program.kill()
                self._found.count("pods killed")
            await asyncio.gather(*asking)

    async def _doomed(self, victim: Pod, number: int) -> tuple[str, Question]:
        script = Script(self._trial.key(), DOOMED, gap=GAP)
        dialect: ClientAPI = "native" if number % 3 == 0 else "openai"
        return victim.url, await self._question("killed", dialect, script, ("openai", *CONTINUED))

    async def _question(self, fate: Fate, dialect: ClientAPI, script: Script, models: Sequence[str]) -> Question:
        talk = await self._trial.conversation(self._url, script.key) if dialect == "native" else None
        question = Question(script, self._trial.random.choice(models), dialect, talk, user=script.key)
        self._answers.asked[script.key] = (fate, question)
        return question

    def _url(self) -> str:
        return self._trial.random.choice(self._steady).url

    async def _settle(self) -> None:
        """Return when all is counted, or should be."""
        await eventually_async(self._dead_are_gone, every=LOOK)
        began, scripts = monotonic(), [question.script for _, question in self._answers.asked.values()]

        async def are_counted() -> bool:
            self._answers.calls = await self._trial.upstream.ledger(scripts)
            report = await self._trial.client.usage(self._url(), **{"from": self._today})
            self._answers.sums = {each.user: each for each in report.data}
            ended = all(call.ending != "open" for calls in self._answers.calls.values() for call in calls)
            return ended and not self._answers.missing()

        with suppress(TimeoutError):
            await eventually_async(are_counted, seconds=SETTLED[self._trial.variant], every=LOOK)
            self._found.figures["counted within s"] = round(monotonic() - began, 1)
        if self._trial.protected:
            await self._require_status()

    async def _require_status(self) -> None:
        """Require that the sums of the day, as the status has them, are those of the one tenant."""
        total = (await self._trial.client.usage(self._url(), **{"from": self._today})).total
        reported: str | None = None

        async def is_reported() -> bool:
            nonlocal reported
            reported = (await _get(f"{self._steady[0].health_url}/health")).get("usage", {}).get("costUSD")
            return reported == total.cost_usd

        with suppress(TimeoutError):
            await eventually_async(is_reported, every=LOOK)
        self._found.require(
            reported == total.cost_usd, f"The status has {reported} USD, and the sums {total.cost_usd}."
        )

    async def _dead_are_gone(self) -> bool:
        running = len(self._fleet.running)
        found = [await _get(f"{pod.health_url}/health/detailed") for pod in self._steady]
        return not [each for each in found if each["fleet"]["pods"] != running]


async def _get(url: str) -> dict[str, Any]:
    async with aiohttp.request("GET", url) as response:
        found: dict[str, Any] = await response.json()
        return found


SCENARIO = Scenario(
    "usage records",
    "Each answer is in the sums of usage once: also one whose client left, or whose pod was killed in the midst of it.",
    "answers under way are known to their pod alone",
    play,
    hurt=("answers left", "pods killed", "answers of killed pods"),
    targets={"missing": "0", "doubled": "0", "differ by %": "≤ 2"},
    aim="10,000 answers left at any moment, and 100 pods killed",
)
