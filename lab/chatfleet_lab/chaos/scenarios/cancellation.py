"""Cancellation: who leaves a completion frees its upstream, at once and at whatever moment; a conversation goes on."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from chatfleet_contract.metrics import ACTIVE_STREAMS
from chatfleet_contract.spec.providers import Retries
from chatfleet_lab.chaos.fleet import Pod, Settings
from chatfleet_lab.chaos.measure import milliseconds, percentile
from chatfleet_lab.chaos.scenario import Findings, Scenario, Trial
from harness.clients.client import Question
from harness.clients.received import ReceivedStream
from harness.polling import eventually_async
from harness.upstream.ledger import Call
from harness.upstream.script import Fault, Script

CLIENTS = {"short": 90, "long": 2_000}
AT_ONCE = 30
STAY = (0.05, 0.6)
"""Seconds after which a client leaves: somewhere between these."""
LEFT_WITHIN = {"short": 2.0, "long": 1.0}
"""Seconds in which an upstream must be left; the short form runs on busy machines."""
CLOSED_WITHIN = 5.0
"""Seconds in which the last conversation has its answer."""
BACK_OFF = 1.5
"""Seconds after which a retry that nobody waits for would have come."""


def _script(key: str, kind: int) -> Script:
    """Return an answer that lasts longer than any client stays: fast, silent at first, without headers, in back-off."""
    match kind % 4:
        case 0:
            return Script(key, 1_000, gap=0.01)
        case 1:
            return Script(key, 10, first=5)
        case 2:
            return Script(key, 10, always=Fault("headers"))
        case _:
            return Script(key, 10, first=5, faults=(Fault("status", status=500),))


def _question(trial: Trial, number: int) -> Question:
    model = trial.random.choice(("openai", "anthropic"))
    if trial.protected and number % 5 == 0:
        return Question(Script(trial.key(), 40, gap=0.02), model, "native")
    return Question(_script(trial.key(), number), model, trial.random.choice(("openai", "openai-whole")))


async def play(trial: Trial) -> Findings:
    """Leave, and look when the upstream notices."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with trial.fleet(Settings(retries=Retries(max=1), server=trial.server)) as fleet:

        async def come_and_go(question: Question) -> ReceivedStream:
            async with turn:
                return await trial.client.ask(fleet.url, question, patience=trial.random.uniform(*STAY))

        questions = [_question(trial, number) for number in range(CLIENTS[trial.size])]
        streams = await asyncio.gather(*map(come_and_go, questions))
        await asyncio.sleep(BACK_OFF)
        left = list(zip(questions, streams, strict=True))
        calls = await trial.upstream.ledger(question.script for question in questions)
        found = findings(left, calls, Look(monotonic(), LEFT_WITHIN[trial.size]))
        if trial.protected:
            found.require(await _all_closed(fleet.pods[0]), "Streams stayed open without clients and answers.")
        return found


async def _all_closed(pod: Pod) -> bool:
    async def closed() -> bool:
        return await pod.metric(ACTIVE_STREAMS) == 0

    with suppress(TimeoutError):
        await eventually_async(closed, seconds=CLOSED_WITHIN)
    return await closed()


class Look(NamedTuple):
    """When the ledger was read (monotonic seconds), and how long an upstream may keep a call whose client has gone."""

    at: float
    within: float


def findings(left: Sequence[tuple[Question, ReceivedStream]], calls: dict[str, list[Call]], look: Look) -> Findings:
    """Compare when clients left with when the upstream was left, as far as it was when we looked. Pure."""
    found, delays = Findings(), []
    for question, received in left:
        for call in calls[question.script.key]:
            if question.dialect == "native":
                found.count("conversations that went on")
                found.require(call.ending == "whole", f"An answer in a conversation was {call.ending} by leaving.")
                continue
            found.require(call.attempt == 0, f"{question.model} got another request after its client had disconnected.")
            if call.ending == "fault":
                continue  # it had ended before its client left
            delays.append(late := (call.ended or look.at) - received.ended)
            found.require(
                call.ending == "closed" and late <= look.within,
                f"{question.model} was disconnected {late:.1f} s after its client had disconnected ({call.ending}).",
            )
    found.require(
        len(delays) >= len(left) / 10, f"Of {len(left)} clients only {len(delays)} came as far as an upstream."
    )
    found.figures |= {
        "clients": len(left),
        "upstream calls that ended": len(delays),
        "p50 ms": milliseconds(percentile(delays, 0.5)),
        "p99 ms": milliseconds(percentile(delays, 0.99)),
    }
    return found


SCENARIO = Scenario(
    "cancellation",
    f"A client that disconnects frees its upstream within {LEFT_WITHIN['long']:g} s; conversations go on.",
    "a relay that does not watch its clients",
    play,
    hurt=("clients",),
    targets={"p99 ms": "≤ 1,000"},
    aim="2,000 clients that leave",
    on_node=True,
)
