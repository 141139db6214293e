"""Messages that come while another is answered: refused, in line, or in its place; never two answers at a time."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from itertools import pairwise
from operator import attrgetter

from chatfleet_contract.spec import OnBusy
from chatfleet_lab.chaos.fleet import Settings
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, listed, outcome
from harness.clients.client import Question
from harness.redis.proxied import open_direct
from harness.upstream.ledger import Call
from harness.upstream.script import Script

TALKS = {"short": 6, "long": 40}
"""Conversations of each kind."""
AT_ONCE = 18
MESSAGES = 5
"""In each conversation."""
GAP = 0.05
TOKENS: dict[OnBusy, int] = {"reject": 50, "enqueue": 20, "interrupt": 60}
"""With the gap, answers that last longer than it takes to send the next message."""
APART: dict[OnBusy, float] = {"reject": 0.4, "enqueue": 0.15, "interrupt": 0.75}
"""Seconds between two messages: more than a pod needs to give a message its place. One that interrupts has to wait for
the pod that is interrupted, half a second at most, so that it begins its answer before the next one comes."""
OVERLAP = 0.05
"""Seconds that the upstream may need to notice that it was left."""
KINDS = tuple(TOKENS)


async def play(trial: Trial) -> Findings:
    """Send some messages into each conversation, to two pods in turn, while the first is answered."""
    found = Findings()
    turn = asyncio.Semaphore(AT_ONCE)
    async with open_direct(trial.folder / "redis") as redis:
        settings = Settings(redis_url=redis.url, server=trial.server_without("turns"))
        async with trial.fleet(settings, pods=2) as fleet:

            async def talk(kind: OnBusy) -> None:
                async with turn:
                    await _talk(trial, found, [pod.url for pod in fleet.pods], kind)

            await asyncio.gather(*(talk(kind) for _ in range(TALKS[trial.size]) for kind in KINDS))
    return found


async def _talk(trial: Trial, found: Findings, urls: Sequence[str], kind: OnBusy) -> None:
    conversation = await trial.conversation(lambda: urls[0])
    scripts = [Script(trial.key(), TOKENS[kind], gap=GAP) for _ in range(MESSAGES)]
    questions = [Question(script, "openai", "native", conversation, on_busy=kind) for script in scripts]

    async def say(number: int, question: Question) -> Judgement:
        await asyncio.sleep(number * APART[kind])
        (judged,) = await trial.ask_all([question], lambda: urls[number % len(urls)])
        return judged

    judged = await asyncio.gather(*map(say, range(MESSAGES), questions))
    calls = await trial.upstream.ledger(scripts)
    kept = [m.content for m in await trial.client.messages(urls[1], conversation) if m.role == "user"]
    found.count(f"conversations, {kind}")
    _one_at_a_time(found, kind, [call for of_one in calls.values() for call in of_one])
    _CHECKS[kind](found, judged)
    taken = [one.question.script.question for one in judged if one.verdict is not Verdict.REFUSED]
    found.require(kept == taken, f"{kind}: the messages are not kept in the order in which they came.")


def _one_at_a_time(found: Findings, kind: OnBusy, calls: Sequence[Call]) -> None:
    for before, after in pairwise(sorted(calls, key=attrgetter("began"))):
        overlap = (before.ended or after.began + TOKENS[kind] * GAP) - after.began
        found.require(overlap <= OVERLAP, f"{kind}: two answers were written at a time, for {overlap:.2f} s.")


def _rejected(found: Findings, judged: Sequence[Judgement]) -> None:
    first, *others = judged
    found.require(first.verdict is Verdict.COMPLETE, f"reject: the first answer ended as {first.verdict}.")
    for other in others:
        status, ends = other.received.status, other.received.ends
        found.count(f"reject: {status}")
        rejected = (status, ends) == (HTTPStatus.CONFLICT, ["conversation_busy"])
        found.require(rejected, f"reject: a message got status {status} and {listed(ends)}.")
        found.require(bool(other.received.retry_after), "reject: a message got no Retry-After.")


def _in_line(found: Findings, judged: Sequence[Judgement]) -> None:
    for one in judged:
        found.count(f"enqueue: {one.verdict}")
        found.require(
            one.verdict is Verdict.COMPLETE, f"enqueue: an answer ended as {outcome(one.verdict, one.received)}."
        )


def _in_place(found: Findings, judged: Sequence[Judgement]) -> None:
    *others, last = judged
    found.require(last.verdict is Verdict.COMPLETE, f"interrupt: the last answer ended as {last.verdict}.")
    for one in others:
        found.count(f"interrupt: {listed(one.received.ends)}")
        found.require(
            one.received.ends == ["cancelled"], f"interrupt: an answer ended with {listed(one.received.ends)}."
        )


_CHECKS = {"reject": _rejected, "enqueue": _in_line, "interrupt": _in_place}

SCENARIO = Scenario(
    "one answer at a time",
    "A message to a busy conversation is refused, queued or interrupts, as requested; order is kept.",
    "Chatfleet without turns",
    play,
    hurt=("conversations, reject", "conversations, enqueue", "conversations, interrupt"),
    aim="none",
)
