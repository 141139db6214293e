"""Archived once: messages reach PostgreSQL all, once and in order, whatever is killed, and are read back from there."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

import aiohttp

from chatfleet_lab.chaos.fleet import Fleet, Pod, Settings
from chatfleet_lab.chaos.scenario import AGAIN, LOOK, Findings, Scenario, Trial
from harness.clients.client import NoStreamError
from harness.polling import eventually_async
from harness.postgres import PostgresServer, fetch_all, postgres_server
from harness.redis.proxied import Redis, open_direct

TOGETHER: Final = 20
"""Messages that are added in one request."""
LENGTH: Final = 100
"""Of a conversation."""
PATIENCE: Final = 10.0
"""Seconds for the reply to one request."""
DOWN: Final = 10.0
"""Seconds without PostgreSQL. The pod that archives takes conversations out of the queue about 6.5 s after its end, and
waits for it until 11.5 s: what a pod that is killed meanwhile has in its hands, its successor must find."""
SECONDS: Final = 120.0
"""Far more than archiving takes, once everything is back: a killed writer's lease, and the longest pause."""
READERS: Final = 8


class Load(NamedTuple):
    """How much is written and hurt."""

    rounds: int
    """In each, PostgreSQL and a pod are killed."""
    messages: int
    """At least."""
    writers: int
    pause: float
    """Seconds between two requests of a writer."""


LOADS: Final = {"short": Load(1, 400, 2, 0.2), "long": Load(10, 100_000, 8, 0.5)}
"""Conversations end often in the short form: what a control loses of others is archived with their next message."""


@dataclass
class Written:
    """How many messages of each conversation were acknowledged; they are numbered."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    hurt: bool = True
    """Whether something is still to be killed."""

    @property
    def messages(self) -> int:
        return sum(self.acknowledged.values())


async def play(trial: Trial) -> Findings:
    """Write all the time while PostgreSQL and pods are killed; compare PostgreSQL, then what is read from it."""
    load, found, written = LOADS[trial.size], Findings(), Written()
    server = trial.server_without("marks")
    with postgres_server() as database:
        async with open_direct(trial.folder / "redis") as redis:
            settings = Settings(redis_url=redis.url, archive_url=database.url, server=server)
            async with trial.fleet(settings, pods=2) as fleet:
                async with asyncio.TaskGroup() as group:
                    for _ in range(load.writers):
                        group.create_task(_write(trial, fleet, written, load))
                    await _hurt(fleet, redis, database, load.rounds)
                    written.hurt = False
                await _queue_is_empty(redis)
                archived = _archived(database)
                await redis.servers[0].command("FLUSHALL")
                read = await _read(trial, fleet, written)
    found.figures |= {"messages": written.messages, "kills of PostgreSQL": load.rounds, "kills of pods": load.rounds}
    _compare(found, written.acknowledged, archived, read)
    return found


async def _write(trial: Trial, fleet: Fleet, written: Written, load: Load) -> None:
    """Write one conversation after the other; one with a request that was not acknowledged ends there."""
    while written.hurt or written.messages < load.messages:
        with suppress(aiohttp.ClientError, NoStreamError, TimeoutError):
            conversation = await trial.client.converse(fleet.url)
            for first in range(0, LENGTH, TOGETHER):
                texts = [str(number) for number in range(first, first + TOGETHER)]
                async with asyncio.timeout(PATIENCE):
                    await trial.client.add(fleet.url, conversation, texts)
                written.acknowledged[conversation] = first + TOGETHER
                await asyncio.sleep(load.pause)
            continue
        await asyncio.sleep(AGAIN)


async def _hurt(fleet: Fleet, redis: Redis, database: PostgresServer, rounds: int) -> None:
    """Kill PostgreSQL while a pod archives, then that pod, and bring both back."""
    for _ in range(rounds):
        await eventually_async(partial(_has_more, database, _count(database)), seconds=SECONDS, every=LOOK)
        database.crash()
        await asyncio.sleep(DOWN)
        (await _archiving(fleet, redis)).program.kill()
        database.start()
        await fleet.add()


async def _archiving(fleet: Fleet, redis: Redis) -> Pod:
    """Return the pod that has the lease of the archive."""
    server = redis.servers[0]
    (lease,) = await server.command("KEYS", "*archive-writer")
    owner = str(await server.command("GET", lease))
    return next(pod for pod in fleet.running if f"pod-{pod.port}/" in owner)


async def _queue_is_empty(redis: Redis) -> None:
    async def empty() -> bool:
        return not await redis.servers[0].command("KEYS", "*:archive:queue")

    await eventually_async(empty, seconds=SECONDS, every=LOOK)


def _has_more(database: PostgresServer, before: int) -> bool:
    return _count(database) > before


def _count(database: PostgresServer) -> int:
    ((known,),) = fetch_all(database.url, "SELECT to_regclass('chatfleet.messages') IS NOT NULL")
    return int(fetch_all(database.url, "SELECT count(*) FROM chatfleet.messages")[0][0]) if known else 0


def _archived(database: PostgresServer) -> dict[str, list[str]]:
    """Return the messages of each conversation in their order."""
    query = "SELECT conversation_id, content FROM chatfleet.messages ORDER BY conversation_id, position"
    archived: dict[str, list[str]] = {}
    for conversation, content in fetch_all(database.url, query):
        archived.setdefault(str(conversation), []).append(content)
    return archived


async def _read(trial: Trial, fleet: Fleet, written: Written) -> dict[str, list[str]]:
    """Return what pods return of each conversation, of which Redis has nothing."""
    turn, read = asyncio.Semaphore(READERS), dict[str, list[str]]()

    async def one(conversation: str) -> None:
        async with turn:
            read[conversation] = []
            with suppress(aiohttp.ClientError):
                messages = await trial.client.messages(fleet.url, conversation)
                read[conversation] = [message.content for message in messages]

    await asyncio.gather(*map(one, written.acknowledged))
    return read


def _compare(
    found: Findings,
    acknowledged: Mapping[str, int],
    archived: Mapping[str, Sequence[str]],
    read: Mapping[str, Sequence[str]],
) -> None:
    """Note what is lost, doubled and in another order, in PostgreSQL and of what is read back. Pure."""
    lost = doubled = disordered = different = 0
    for conversation, count in acknowledged.items():
        there = [int(each) for each in archived.get(conversation, ())]
        lost += len(set(range(count)) - set(there))
        doubled += len(there) - len(set(there))
        disordered += there != sorted(there)
        different += list(read[conversation]) != list(map(str, there))
    found.figures |= {"lost": lost, "doubled": doubled, "out of order": disordered, "read differently": different}
    found.require(not lost, f"{lost} of {sum(acknowledged.values())} acknowledged messages are not in PostgreSQL.")
    found.require(not doubled, f"{doubled} messages are twice in PostgreSQL.")
    found.require(not disordered, f"{disordered} conversations are in another order in PostgreSQL.")
    found.require(not different, f"{different} conversations are read otherwise than PostgreSQL has them.")


SCENARIO = Scenario(
    "archived once",
    "What was acknowledged reaches PostgreSQL once and in order, whatever is killed, and is read from there.",
    "a queue that forgets what it hands out",
    play,
    hurt=("messages", "kills of PostgreSQL", "kills of pods"),
    targets={"lost": "0", "doubled": "0", "out of order": "0", "read differently": "0"},
    aim="100,000 messages, PostgreSQL killed 10 times, pods killed 10 times",
)
