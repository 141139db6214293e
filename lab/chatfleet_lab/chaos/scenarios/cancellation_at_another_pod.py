"""Stopping: who cancels an answer, on whichever pod, stops its upstream, and what had come of the answer is kept."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from chatfleet_lab.chaos.fleet import Settings
from chatfleet_lab.chaos.measure import milliseconds, percentile
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import listed
from harness.clients.client import Question
from harness.polling import eventually_async
from harness.redis.proxied import open_direct
from harness.upstream.ledger import Call
from harness.upstream.script import Script

ANSWERS = {"short": 30, "long": 500}
AT_ONCE = 25
STAY = (0.0, 1.0)
"""Seconds after which an answer is cancelled: somewhere between these, before its first token too."""
FIRST = 0.5
STOPPED = {"short": 2.0, "long": 1.0}
"""Seconds in which the upstream must be left; the short form runs on busy machines."""


async def play(trial: Trial) -> Findings:
    """Ask one pod, cancel at another, and look when the upstream notices."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with open_direct(trial.folder / "redis") as redis:
        settings = Settings(redis_url=redis.url if trial.protected else None)
        async with trial.fleet(settings, pods=2) as fleet:
            urls = [pod.url for pod in fleet.pods]

            async def one() -> tuple[Judgement, float]:
                async with turn:
                    return await _stop(trial, urls)

            stopped = await asyncio.gather(*(one() for _ in range(ANSWERS[trial.size])))
            calls = await trial.upstream.ledger(judged.question.script for judged, _ in stopped)
            return findings(stopped, calls, STOPPED[trial.size])


async def _stop(trial: Trial, urls: Sequence[str]) -> tuple[Judgement, float]:
    """Return an answer that was cancelled, and when it was."""
    here, there = trial.random.sample(urls, 2)
    talk = await trial.conversation(lambda: here)
    question = Question(Script(trial.key(), 60, gap=0.05, first=FIRST), "openai", "native", talk)
    asking = asyncio.create_task(trial.ask_all([question], lambda: here))

    async def asked() -> bool:
        return bool((await trial.upstream.ledger([question.script]))[question.script.key])

    await eventually_async(asked)
    await asyncio.sleep(trial.random.uniform(*STAY))
    at = monotonic()
    await trial.client.cancel(there, talk)
    (judged,) = await asking
    return judged, at


def findings(stopped: Sequence[tuple[Judgement, float]], calls: dict[str, list[Call]], within: float) -> Findings:
    """Compare when answers were cancelled with when their upstream was left. Pure."""
    found, delays = Findings({"answers": len(stopped)}), []
    for (question, received, _), at in stopped:
        (call,) = calls[question.script.key]
        found.require(received.ends == ["cancelled"], f"A cancelled answer ended with {listed(received.ends)}.")
        delays.append(late := (call.ended or monotonic()) - at)
        found.require(
            call.ending == "closed" and late <= within,
            f"The upstream was disconnected {late:.2f} s later ({call.ending}).",
        )
    found.figures |= {
        "upstream left p50 ms": milliseconds(percentile(delays, 0.5)),
        "upstream left p99 ms": milliseconds(percentile(delays, 0.99)),
    }
    return found


SCENARIO = Scenario(
    "cancellation at another pod",
    "An answer that is cancelled at any other pod stops within 1 s, and so does its upstream request.",
    "no Redis: a pod knows only its own answers",
    play,
    hurt=("answers",),
    targets={"upstream left p99 ms": "≤ 500"},
    aim="1,000 answers",
    on_node=True,
)
