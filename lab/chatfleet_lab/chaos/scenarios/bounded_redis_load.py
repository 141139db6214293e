"""What streams cost Redis: some connections for each pod, and one write for all its streams every few milliseconds."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from chatfleet_lab.chaos.fleet import Fleet, Settings
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, outcome
from harness.clients.client import ClientAPI, Question
from harness.clients.received import ReceivedStream
from harness.redis.proxied import Server, open_direct
from harness.upstream.script import Script

STREAMS = {"short": 150, "long": 2_000}
GAP = {"short": 0.2, "long": 2.0}
"""Seconds between two tokens of a stream, so that machine and harness keep up."""
TOKENS = {"short": 40, "long": 20}
RAMP = {"short": 1.0, "long": 15.0}
"""Seconds in which the streams begin."""
SETTLED = 1.0
"""Seconds after the first token of the last of them."""
SAMPLE = {"short": 3.0, "long": 15.0}
"""Seconds of the measurement, with all streams under way."""
MOST_CONNECTIONS = 8
MOST_TRIPS = 1 / 0.015 + 12
"""A second: a write every 15 ms; signs of life, four times; and what looking at them costs."""
PATIENCE = 120.0


class Sample(NamedTuple):
    """What a Redis has done so far, and for whom."""

    at: float
    trips: int
    """Times that it read from a client: a pipeline, or a script with all its writes, is one."""
    connections: int

    @classmethod
    async def of(cls, server: Server) -> "Sample":
        """Look, over a connection that is not counted."""
        stats = await server.command("INFO", "stats")
        clients = str(await server.command("CLIENT", "LIST", "TYPE", "normal")).count(" addr=")
        return cls(monotonic(), int(stats["total_reads_processed"]), clients - 1)


async def play(trial: Trial) -> Findings:
    """Hold many streams open, and look what Redis does meanwhile."""
    async with (
        open_direct(trial.folder / "redis") as redis,
        trial.fleet(Settings(redis_url=redis.url, server=trial.server)) as fleet,
    ):
        questions = _questions(trial)
        streams = asyncio.gather(*(_ask(trial, fleet, index, questions) for index in range(len(questions))))
        await asyncio.sleep(RAMP[trial.size])
        await trial.until_streaming(questions)  # some may begin late, and a start costs more than a token
        await asyncio.sleep(SETTLED)
        before = await Sample.of(redis.servers[0])
        await asyncio.sleep(SAMPLE[trial.size])
        after = await Sample.of(redis.servers[0])
        return findings(before, after, await trial.judge_all(questions, await streams))


def _questions(trial: Trial) -> list[Question]:
    dialect: ClientAPI = "responses" if trial.protected else "openai"
    scripts = [Script(trial.key(), TOKENS[trial.size], gap=GAP[trial.size]) for _ in range(STREAMS[trial.size])]
    return [Question(script, "openai", dialect) for script in scripts]


async def _ask(trial: Trial, fleet: Fleet, index: int, questions: Sequence[Question]) -> ReceivedStream:
    await asyncio.sleep(index * RAMP[trial.size] / len(questions))
    return await trial.client.ask(fleet.url, questions[index], patience=PATIENCE)


def findings(before: Sample, after: Sample, judged: Sequence[Judgement]) -> Findings:
    """Tell what the streams cost. Pure."""
    trips = (after.trips - before.trips) / (after.at - before.at)
    connections = max(before.connections, after.connections)
    found = Findings({"streams": len(judged)})
    for _, received, verdict in judged:
        found.count(verdict)
        found.require(verdict is Verdict.COMPLETE, f"A stream ended as {outcome(verdict, received)}.")
    found.require(trips <= MOST_TRIPS, f"A pod needed {trips:.0f} round trips to Redis a second.")
    found.require(connections <= MOST_CONNECTIONS, f"A pod held {connections} connections to Redis.")
    tokens = sum(1 / question.script.gap for question, *_ in judged)
    found.figures |= {
        "tokens per second": round(tokens),
        "round trips to Redis per second": round(trips, 1),
        "milliseconds per round trip": round(1000 / trips, 1) if trips else 0,
        "connections to Redis": connections,
    }
    return found


SCENARIO = Scenario(
    "bounded Redis load",
    "A pod holds at most 8 connections to Redis and writes once in 15 ms, for any number of streams.",
    "a relay that writes each token by itself",
    play,
    hurt=("streams",),
    targets={"connections to Redis": "≤ 8", "milliseconds per round trip": "15 to 20"},
    aim="2,000 streams on one pod",
)
