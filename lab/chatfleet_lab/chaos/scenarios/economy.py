"""What streams cost Redis: some connections for each pod, and one write for all its streams every few milliseconds."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from chatfleet_lab.chaos.client import DialectName, Question
from chatfleet_lab.chaos.fleet import Fleet, Settings
from chatfleet_lab.chaos.reception import Reception
from chatfleet_lab.chaos.redis import Server, open_single
from chatfleet_lab.chaos.scenario import Arena, Findings, Judged, Scenario
from chatfleet_lab.chaos.script import Script
from chatfleet_lab.chaos.verdict import Verdict

STREAMS = {"short": 150, "long": 2_000}
GAP = {"short": 0.2, "long": 2.0}
"""Seconds between two tokens of a stream, so that machine and harness keep up."""
TOKENS = {"short": 30, "long": 20}
RAMP = {"short": 1.0, "long": 15.0}
"""Seconds in which the streams begin."""
SETTLED = 1.0
"""Seconds after which the last of them has begun."""
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


async def play(arena: Arena) -> Findings:
    """Hold many streams open, and look what Redis does meanwhile."""
    async with (
        open_single(arena.folder / "redis") as redis,
        arena.fleet(Settings(redis_url=redis.url, server=arena.server)) as fleet,
    ):
        questions = _questions(arena)
        streams = asyncio.gather(*(_ask(arena, fleet, index, questions) for index in range(len(questions))))
        await asyncio.sleep(RAMP[arena.size] + SETTLED)
        before = await Sample.of(redis.servers[0])
        await asyncio.sleep(SAMPLE[arena.size])
        after = await Sample.of(redis.servers[0])
        return findings(before, after, await arena.judged(questions, await streams))


def _questions(arena: Arena) -> list[Question]:
    dialect: DialectName = "responses" if arena.protected else "openai"
    scripts = [Script(arena.key(), TOKENS[arena.size], gap=GAP[arena.size]) for _ in range(STREAMS[arena.size])]
    return [Question(script, "openai", dialect) for script in scripts]


async def _ask(arena: Arena, fleet: Fleet, index: int, questions: Sequence[Question]) -> Reception:
    await asyncio.sleep(index * RAMP[arena.size] / len(questions))
    return await arena.client.ask(fleet.url, questions[index], patience=PATIENCE)


def findings(before: Sample, after: Sample, judged: Sequence[Judged]) -> Findings:
    """Tell what the streams cost. Pure."""
    trips = (after.trips - before.trips) / (after.at - before.at)
    connections = max(before.connections, after.connections)
    found = Findings({"streams": len(judged)})
    for _, reception, verdict in judged:
        found.count(verdict)
        found.require(verdict is Verdict.COMPLETE, f"A stream was {verdict}: {reception.ends}.")
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
    "what Redis is asked",
    "However many streams a pod has, it holds at most 8 connections to Redis and writes once in 15 ms.",
    "a relay that writes each token by itself",
    play,
    hurt=("streams",),
    targets={"connections to Redis": "≤ 8", "milliseconds per round trip": "15 to 20"},
    aim="2,000 streams on one pod",
)
