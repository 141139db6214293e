"""A pod that is stopped past its lease: its answers go on elsewhere, and when it wakes it adds nothing to them."""

import asyncio
from contextlib import suppress
from itertools import repeat
from time import monotonic

from chatfleet_lab.chaos.fleet import CONTINUED, Fleet, Settings
from chatfleet_lab.chaos.measure import milliseconds
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, outcome
from harness.clients.client import Question
from harness.clients.follower import follow
from harness.polling import eventually_async
from harness.redis.proxied import open_direct
from harness.upstream.script import Script

STREAMS = {"short": 12, "long": 60}
ROUNDS = {"short": 1, "long": 5}
TOKENS = 80
GAP = 0.1
"""With the tokens 8 s: the paused pod wakes while its heir still writes."""
PAUSED = 4.0
"""Seconds; the lease is 1.75."""
PATIENCE = 30.0
LEFT_WITHIN = {"short": 4.0, "long": 2.0}
"""Seconds after it resumed in which a pod must have left its upstream; the short form runs on busy machines."""


async def play(trial: Trial) -> Findings:
    """Stop one of two pods in the midst of its answers, and wake it."""
    found = Findings()
    async with open_direct(trial.folder / "redis") as redis:
        settings = Settings(redis_url=redis.url, server=trial.server_without("fencing"))
        for _ in range(ROUNDS[trial.size]):
            async with trial.fleet(settings, pods=2) as fleet:
                await _round(trial, found, fleet)
    return found


async def _round(trial: Trial, found: Findings, fleet: Fleet) -> None:
    zombie, heir = fleet.pods
    questions = [await _question(trial, zombie.url) for _ in range(STREAMS[trial.size])]
    first = iter([zombie.url] * len(questions))
    readers = asyncio.gather(
        *(
            follow(
                trial.client,
                lambda: next(first, heir.url),
                question,
                stays=repeat(PATIENCE),
                patience=PATIENCE,
            )
            for question in questions
        )
    )
    await trial.until_streaming(questions)
    zombie.program.pause()
    await asyncio.sleep(PAUSED)
    zombie.program.resume()
    woken = monotonic()
    await _left(trial, found, questions, woken)
    followed = await readers
    late = await asyncio.gather(
        *(
            follow(trial.client, lambda: zombie.url, question, stays=repeat(PATIENCE), patience=PATIENCE)
            for question in questions
        )
    )
    for read in (followed, late):
        for judged in await trial.judge_all(questions, [stream.received for stream in read]):
            _tell(found, judged)
    for question in questions:
        kept = await trial.client.messages(heir.url, str(question.conversation))
        told = [(message.role, message.content) for message in kept]
        found.require(
            told == [("user", question.script.question), ("assistant", question.script.answer)],
            f"A conversation has {len(told)} messages, or another answer than its readers saw.",
        )


async def _question(trial: Trial, url: str) -> Question:
    key, model = trial.key(), trial.random.choice(CONTINUED)
    return Question(Script(key, TOKENS, gap=GAP), model, "native", await trial.conversation(lambda: url), once=key)


async def _left(trial: Trial, found: Findings, questions: list[Question], woken: float) -> None:
    """Look how soon the pod that woke left its upstream."""

    async def left() -> bool:
        calls = await trial.upstream.ledger(question.script for question in questions)
        return all(of_one[0].ending != "open" for of_one in calls.values())

    with suppress(TimeoutError):
        await eventually_async(left, seconds=LEFT_WITHIN[trial.size])
    calls = await trial.upstream.ledger(question.script for question in questions)
    for first, *_ in calls.values():
        found.count(f"calls of the paused pod: {first.ending}")
        found.require(first.ending == "closed", f"A call of the paused pod was {first.ending} after it resumed.")
    late = max((of_one[0].ended or monotonic()) - woken for of_one in calls.values())
    found.figures["upstream left after waking, slowest ms"] = max(
        milliseconds(late), int(found.figures.get("upstream left after waking, slowest ms", 0))
    )


def _tell(found: Findings, judged: Judgement) -> None:
    found.count(judged.verdict)
    found.require(
        judged.verdict is Verdict.COMPLETE,
        f"An answer of a paused pod ended as {outcome(judged.verdict, judged.received)} for a reader.",
    )


SCENARIO = Scenario(
    "paused pod",
    "A pod that resumes after its lease appends nothing to runs of other pods, and closes its upstream requests.",
    "Chatfleet without fencing",
    play,
    hurt=("calls of the paused pod: closed",),
    targets={"upstream left after waking, slowest ms": "≤ 2,000"},
    aim="20 freezes",
    on_node=True,
)
