"""Stopping: who cancels an answer, on whichever pod, stops its upstream, and what had come of the answer is kept."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from chatfleet_lab.chaos.client import Question
from chatfleet_lab.chaos.fleet import Settings
from chatfleet_lab.chaos.ledger import Call
from chatfleet_lab.chaos.measure import milliseconds, percentile
from chatfleet_lab.chaos.processes import until
from chatfleet_lab.chaos.redis import open_single
from chatfleet_lab.chaos.scenario import Arena, Findings, Judged, Scenario
from chatfleet_lab.chaos.script import Script

ANSWERS = {"short": 30, "long": 500}
AT_ONCE = 25
STAY = (0.0, 1.0)
"""Seconds after which an answer is cancelled: somewhere between these, before its first token too."""
FIRST = 0.5
STOPPED = {"short": 2.0, "long": 1.0}
"""Seconds in which the upstream must be left; the short form runs on busy machines."""


async def play(arena: Arena) -> Findings:
    """Ask one pod, cancel at another, and look when the upstream notices."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with open_single(arena.folder / "redis") as redis:
        settings = Settings(redis_url=redis.url if arena.protected else None)
        async with arena.fleet(settings, pods=2) as fleet:
            urls = [pod.url for pod in fleet.pods]

            async def one() -> tuple[Judged, float]:
                async with turn:
                    return await _stop(arena, urls)

            stopped = await asyncio.gather(*(one() for _ in range(ANSWERS[arena.size])))
            calls = await arena.upstream.ledger(judged.question.script for judged, _ in stopped)
            return findings(stopped, calls, STOPPED[arena.size])


async def _stop(arena: Arena, urls: Sequence[str]) -> tuple[Judged, float]:
    """Return an answer that was cancelled, and when it was."""
    here, there = arena.random.sample(urls, 2)
    talk = await arena.conversation(lambda: here)
    question = Question(Script(arena.key(), 60, gap=0.05, first=FIRST), "openai", "native", talk)
    asking = asyncio.create_task(arena.ask_all([question], lambda: here))

    async def asked() -> bool:
        return bool((await arena.upstream.ledger([question.script]))[question.script.key])

    await until(asked)
    await asyncio.sleep(arena.random.uniform(*STAY))
    at = monotonic()
    await arena.client.cancel(there, talk)
    (judged,) = await asking
    return judged, at


def findings(stopped: Sequence[tuple[Judged, float]], calls: dict[str, list[Call]], within: float) -> Findings:
    """Compare when answers were cancelled with when their upstream was left. Pure."""
    found, delays = Findings({"answers": len(stopped)}), []
    for (question, reception, _), at in stopped:
        (call,) = calls[question.script.key]
        found.require(reception.ends == ["cancelled"], f"A cancelled answer ended as {reception.ends}.")
        delays.append(late := (call.ended or monotonic()) - at)
        found.require(
            call.ending == "closed" and late <= within, f"The upstream was left {late:.2f} s later ({call.ending})."
        )
    found.figures |= {
        "upstream left p50 ms": milliseconds(percentile(delays, 0.5)),
        "upstream left p99 ms": milliseconds(percentile(delays, 0.99)),
    }
    return found


SCENARIO = Scenario(
    "stop",
    "An answer that is cancelled at another pod than the one that writes it stops, with its upstream, within 1 s.",
    "no Redis: a pod knows its own answers only",
    play,
    hurt=("answers",),
    targets={"upstream left p99 ms": "≤ 500"},
    aim="1,000 answers",
    on_node=True,
)
