"""Overload: a pod takes as many streams as it is set to, refuses the rest at once, and serves what it took as ever."""

import asyncio
from collections.abc import Sequence

from chatfleet_contract.spec import Streaming
from chatfleet_lab.chaos.fleet import Pod, Settings
from chatfleet_lab.chaos.measure import milliseconds, percentile
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, listed
from harness.clients.client import STREAMED, Question
from harness.clients.received import ReceivedStream
from harness.upstream.script import Script

CAPACITY = {"short": 20, "long": 100}
FACTOR = 3
ROUNDS = {"short": 2, "long": 3}
TOKENS = {"short": 60, "long": 200}
GAP = 0.05
"""With the tokens, streams of 3 s or 10 s: the last one must be asked for before the first one ends."""
APART = 0.005
"""Seconds between two requests, so that it is the pod's time that is measured and not the harness'."""
REFUSED_WITHIN = {"short": 3.0, "long": 1.0}
"""Seconds within which a refusal must come; the short form runs on busy machines. How long it took is reported."""


async def play(trial: Trial) -> Findings:
    """Ask for more streams than fit; then again, when the first ones have ended."""
    capacity = CAPACITY[trial.size]
    cap = capacity if trial.protected else capacity * FACTOR
    async with trial.fleet(Settings(streaming=Streaming(max_streams_per_pod=cap))) as fleet:
        rounds = [await _round(trial, fleet.pods[0], capacity * FACTOR) for _ in range(ROUNDS[trial.size])]
    return findings(rounds, capacity, REFUSED_WITHIN[trial.size])


async def _round(trial: Trial, pod: Pod, number: int) -> list[Judgement]:
    scripts = [Script(trial.key(), TOKENS[trial.size], gap=GAP) for _ in range(number)]
    questions = [Question(script, "openai", STREAMED[index % 2]) for index, script in enumerate(scripts)]

    async def ask(index: int, question: Question) -> ReceivedStream:
        await asyncio.sleep(index * APART)
        return await trial.client.ask(pod.url, question)

    return await trial.judge_all(questions, await asyncio.gather(*map(ask, range(number), questions)))


def findings(rounds: Sequence[Sequence[Judgement]], capacity: int, within: float) -> Findings:
    """Compare, round by round, who was taken, and who was refused `within` some seconds, with the capacity. Pure."""
    found, waits = Findings(), []
    for judged in rounds:
        complete = sum(verdict is Verdict.COMPLETE for _, _, verdict in judged)
        found.require(complete == capacity, f"{complete} streams were served, not {capacity}.")
        for _, received, verdict in judged:
            found.count(verdict)
            if verdict is Verdict.COMPLETE:
                continue
            waits.append(waited := received.ended - received.asked)
            found.require(
                (received.status, received.ends) == (503, ["at_capacity"]),
                f"A stream beyond the capacity got status {received.status} and {listed(received.ends)}.",
            )
            found.require(bool(received.retry_after), "A refusal had no Retry-After.")
            found.require(waited <= within, f"A refusal took {waited:.2f} s.")
    found.figures |= {"refused within p50 ms": milliseconds(percentile(waits, 0.5))}
    found.figures |= {"refused within p99 ms": milliseconds(percentile(waits, 0.99))}
    return found


SCENARIO = Scenario(
    "overload",
    "Beyond its capacity a pod answers 503 with Retry-After at once; every accepted stream is whole.",
    "maxStreamsPerPod: no limit",
    play,
    hurt=("complete", "refused"),
    targets={"refused within p99 ms": "≤ 50"},
    aim="three times the capacity",
)
