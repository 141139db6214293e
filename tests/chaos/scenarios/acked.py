"""Acknowledged means kept: a message whose answer has begun is there, whatever dies at Redis' end.

A killed server that starts again has what it acknowledged. A replica that is promoted has what reached it: without
`redis.waitReplicas` (Redis' WAIT) that is all but the last moments, and the control run prints how much is lost.
"""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from chaos.client import NoStreamError, Question
from chaos.fleet import Fleet, Settings
from chaos.processes import until
from chaos.redis import Redis, open_sentinel, open_single
from chaos.scenario import Arena, Findings, Scenario
from chaos.script import Script

WRITERS = 16
MESSAGES = 10
"""In each conversation."""
KILLS = {"short": 2, "long": 20}
FAILOVERS = 1
"""Of the control run."""
BETWEEN = (0.5, 1.5)
"""Seconds of writing before a kill."""
DOWN = 0.2
"""Seconds that a killed server stays away."""
BEHIND = 1.0
"""Seconds by which the replica is behind when it is promoted."""
PATIENCE = 5.0
RETURN = 30.0
"""Seconds in which a Redis must be usable again."""


@dataclass
class Written:
    """What writers were told."""

    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    """Messages whose answer began, by conversation."""
    refused: int = 0

    @property
    def messages(self) -> int:
        """How many messages were acknowledged."""
        return sum(map(len, self.acknowledged.values()))


async def play(arena: Arena) -> Findings:
    """Write, and kill Redis meanwhile: a single server, or, in the control run, a primary whose replica is behind."""
    async with AsyncExitStack() as stack:
        topology = open_single if arena.protected else open_sentinel
        redis = await stack.enter_async_context(topology(arena.folder / "redis"))
        fleet = await stack.enter_async_context(arena.fleet(Settings(redis_url=redis.url), pods=2))
        what, times, hurt = (
            ("Redis kill -9", KILLS[arena.size], _killed)
            if arena.protected
            else ("failovers to a replica 1 s behind", FAILOVERS, _failed_over)
        )
        written = Written()
        async with asyncio.TaskGroup() as group:
            writers = [group.create_task(_write(arena, fleet, written)) for _ in range(WRITERS)]
            for _ in range(times):
                await asyncio.sleep(arena.random.uniform(*BETWEEN))
                await hurt(redis)
            for writer in writers:
                writer.cancel()
        found = await _compared(arena, fleet, written)
        found.figures = {what: times, **found.figures}
        return found


async def _killed(redis: Redis) -> None:
    (server,) = redis.servers
    await server.kill()
    await asyncio.sleep(DOWN)
    await server.start()


async def _failed_over(redis: Redis) -> None:
    """Let the replica fall behind, kill the primary, and wait until there is a pair again."""
    primary = await redis.primary()
    await redis.part()
    await asyncio.sleep(BEHIND)
    await primary.kill()
    await redis.promoted(primary)
    await primary.start()
    await redis.in_step()


async def _write(arena: Arena, fleet: Fleet, written: Written) -> None:
    """Say something in one conversation after the other, and note what was acknowledged."""
    while True:
        with suppress(aiohttp.ClientError, NoStreamError):
            talk = await arena.client.converse(fleet.url)
            for _ in range(MESSAGES):
                question = Question(Script(arena.key(), 1), "openai", "native", talk)
                reception = await arena.client.ask(fleet.url, question, patience=PATIENCE)
                if not reception.sequence:
                    written.refused += 1
                    break
                written.acknowledged.setdefault(talk, []).append(question.script.question)


async def _compared(arena: Arena, fleet: Fleet, written: Written) -> Findings:
    """Look which of the acknowledged messages are there."""
    lost = 0
    for talk, said in written.acknowledged.items():
        kept = await _kept(arena, fleet, talk)
        lost += sum(message not in kept for message in said)
    found = Findings({"acknowledged": written.messages, "refused": written.refused, "lost": lost})
    found.require(written.messages > 0, "Nothing was acknowledged.")
    found.require(not lost, f"Of {written.messages} acknowledged messages {lost} are lost.")
    return found


async def _kept(arena: Arena, fleet: Fleet, talk: str) -> list[str]:
    """Return the messages of a conversation; none when it is not known, as soon as that can be said."""
    kept: list[str] = []

    async def told() -> bool:
        try:
            kept[:] = [message.content for message in await arena.client.messages(fleet.url, talk)]
        except aiohttp.ClientResponseError as error:
            return error.status == HTTPStatus.NOT_FOUND
        except aiohttp.ClientError:
            return False
        return True

    await until(told, seconds=RETURN)
    return kept


SCENARIO = Scenario(
    "acknowledged means kept",
    "Whose answer has begun, that message is kept, however often Redis is killed.",
    "a primary that dies while its replica is 1 s behind",
    play,
    hurt=("Redis kill -9", "acknowledged"),
    targets={"lost": "0"},
    aim="100,000 messages, 50 kills, 20 failovers",
)
