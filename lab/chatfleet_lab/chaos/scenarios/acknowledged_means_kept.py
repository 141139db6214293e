"""Acknowledged means kept: a message whose answer has begun is there, whatever dies, and one that is sent again is one.

A killed server that starts again has what it acknowledged. A replica that is promoted has what reached it: without
`redis.waitReplicas` (Redis' WAIT) that is all but the last moments, and the control run prints how much is lost, and
how old what is lost was. A pod that dies when Redis has a message, and its client no word of it, leaves it to others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from chatfleet_lab.chaos.fleet import Fleet, Settings
from chatfleet_lab.chaos.measure import milliseconds
from chatfleet_lab.chaos.scenario import AGAIN, Findings, Scenario, Size, Trial
from chatfleet_lab.chaos.verdict import Verdict
from chatfleet_lab.chaos.writing import Written, lost, roles_and_texts, window, write
from harness.clients.client import Question
from harness.clients.received import ReceivedStream
from harness.faults.toxics import HEALTHY, Faults, Toxics
from harness.polling import eventually_async
from harness.redis.proxied import Redis, open_sentinel, open_single
from harness.upstream.script import Script

WRITERS = 16
BETWEEN = (0.5, 1.5)
"""Seconds of writing before something is killed."""
DOWN = 0.2
"""Seconds that a killed server stays away."""
BEHIND = 1.0
"""Seconds by which the replica is behind when it is promoted."""
HELD = 0.3
"""Seconds by which Redis' replies are late when a pod is killed between a write and its word to the client."""
SENDERS = 4
"""Messages that are on their way through such a pod."""
KILLED = "pods killed between write and acknowledgement"
FAILED_OVER = "failovers to a replica 1 s behind"
TRY_AGAIN = "storage_unavailable", "conversation_busy", "conversation_changed"


@dataclass
class FleetUnderTest:
    """A fleet with its Redis, writers at work."""

    trial: Trial
    found: Findings
    fleet: Fleet
    redis: Redis
    written: Written = field(default_factory=Written)
    deaths: list[float] = field(default_factory=list)
    """When a Redis was killed."""


class Plan(NamedTuple):
    """What is played on one under_test."""

    topology: Callable[[Path], AbstractAsyncContextManager[Redis]]
    replicas: int
    """That must have what is acknowledged."""
    name: str
    """Of what is done to Redis under writers."""
    hurt: Callable[[FleetUnderTest], Awaitable[None]]
    times: Mapping[Size, int]
    pods: Mapping[Size, int]
    """How many pods are killed then; the writers have gone, for they would find Redis too slow."""


async def play(trial: Trial) -> Findings:
    """Play the plans: at the same time in the short form, in turn in the long one."""
    found = Findings({"acknowledged": 0, "refused": 0, "lost": 0, "loss window ms": 0})
    plans = PLANS if trial.protected else CONTROL
    turn = asyncio.Semaphore(len(plans) if trial.size == "short" else 1)

    async def one(number: int, plan: Plan) -> None:
        async with turn:
            await _play(trial, plan, found, trial.folder / f"redis-{number}")

    await asyncio.gather(*(one(number, plan) for number, plan in enumerate(plans)))
    acknowledged, missing = int(found.figures["acknowledged"]), int(found.figures["lost"])
    found.require(acknowledged > 0, "Nothing was acknowledged.")
    found.require(not missing, f"Of {acknowledged} acknowledged messages {missing} are lost.")
    return found


async def _play(trial: Trial, plan: Plan, found: Findings, folder: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(plan.topology(folder))
        settings = Settings(redis_url=redis.url, wait_replicas=plan.replicas)
        under_test = FleetUnderTest(trial, found, await stack.enter_async_context(trial.fleet(settings, pods=2)), redis)
        async with asyncio.TaskGroup() as group:
            writers = [group.create_task(write(trial, under_test.fleet, under_test.written)) for _ in range(WRITERS)]
            for _ in range(plan.times[trial.size]):
                await asyncio.sleep(trial.random.uniform(*BETWEEN))
                await plan.hurt(under_test)
            for writer in writers:
                writer.cancel()
        for _ in range(plan.pods[trial.size]):
            await _kill_pod(under_test)
        missing = await lost(trial, under_test.fleet, under_test.written)
    _add(found, plan.name, plan.times[trial.size])
    _add(found, "acknowledged", len(under_test.written.acknowledged))
    _add(found, "refused", under_test.written.refused)
    _add(found, "lost", len(missing))
    _add(found, "loss window ms", milliseconds(window(missing, under_test.deaths)))


def _add(found: Findings, name: str, number: int) -> None:
    found.figures[name] = int(found.figures.get(name, 0)) + number


async def _kill_redis(under_test: FleetUnderTest) -> None:
    (server,) = under_test.redis.servers
    under_test.deaths.append(monotonic())
    await server.kill()
    await asyncio.sleep(DOWN)
    await server.start()


async def _fail_over(under_test: FleetUnderTest) -> None:
    """Let the replica fall behind, kill the primary, and wait until there is a pair again."""
    primary = await under_test.redis.primary()
    await under_test.redis.part()
    await asyncio.sleep(BEHIND)
    under_test.deaths.append(monotonic())
    await primary.kill()
    await under_test.redis.promoted(primary)
    await primary.start()
    await under_test.redis.in_step()


async def _kill_pod(under_test: FleetUnderTest) -> None:
    """Kill a pod as soon as Redis has a message of which no client has heard, and send all messages again."""
    trial, fleet = under_test.trial, under_test.fleet
    victim, (server,) = trial.random.choice(fleet.running), under_test.redis.servers
    questions = [await _question(trial, fleet) for _ in range(SENDERS)]

    async def written() -> list[Question]:
        lists = " ".join(await server.command("KEYS", "*:messages*"))
        return [question for question in questions if str(question.conversation) in lists]

    async def begun() -> bool:
        return bool(await written())

    async def send(question: Question) -> ReceivedStream:
        """Send it again while the pod rejects it, because Redis is too slow just then."""
        while True:
            received = await trial.client.ask(victim.url, question)
            if not received.ends or received.ends[0] not in TRY_AGAIN:
                return received
            await asyncio.sleep(AGAIN)

    await server.proxy.set(Faults(down=Toxics(latency=HELD)))
    sent = [asyncio.ensure_future(send(question)) for question in questions]
    await eventually_async(begun)
    victim.program.kill()
    await server.proxy.set(HEALTHY)
    there = await written()
    heard = [
        question for question, received in zip(questions, await asyncio.gather(*sent), strict=True) if received.sequence
    ]
    _add(under_test.found, KILLED, 1)
    _add(
        under_test.found,
        "of their messages written, not acknowledged",
        sum(question not in heard for question in there),
    )
    await asyncio.gather(
        fleet.add(), *(_send_again(under_test, question) for question in questions if question not in heard)
    )


async def _question(trial: Trial, fleet: Fleet) -> Question:
    script = Script(trial.key(), 1)
    return Question(script, "openai", "native", await trial.conversation(lambda: fleet.url), once=script.key)


async def _send_again(under_test: FleetUnderTest, question: Question) -> None:
    """Send a message under its key until it is answered, and look that it is there once."""
    while True:
        (judged,) = await under_test.trial.ask_all([question], lambda: under_test.fleet.url)
        refused = judged.verdict is Verdict.REFUSED and judged.received.ends[0] in TRY_AGAIN
        if not (refused or judged.verdict is Verdict.CUT):  # the Service may still lead to the pod that is dead
            break
        await asyncio.sleep(AGAIN)
    kept = await roles_and_texts(under_test.trial, under_test.fleet, str(question.conversation))
    expected = [("user", question.script.question), ("assistant", question.script.answer)]
    under_test.found.require(judged.verdict is Verdict.COMPLETE, f"What was sent again ended as {judged.verdict}.")
    under_test.found.require(kept == expected, f"What was sent again is kept as {kept}.")


PLANS = (
    Plan(open_single, 0, "Redis kill -9", _kill_redis, {"short": 1, "long": 20}, pods={"short": 1, "long": 10}),
    Plan(open_sentinel, 1, FAILED_OVER, _fail_over, {"short": 1, "long": 20}, pods={"short": 0, "long": 0}),
)
CONTROL = (PLANS[-1]._replace(replicas=0),)

SCENARIO = Scenario(
    "acknowledged means kept",
    "A message whose answer has begun is kept, whatever is killed; one that is sent again is kept once.",
    "redis.waitReplicas: 0, and a primary that dies while its replica is 1 s behind",
    play,
    hurt=("Redis kill -9", KILLED, FAILED_OVER, "acknowledged"),
    targets={"lost": "0"},
    aim="100,000 messages, 50 kills, 20 failovers, 10 pods",
)
