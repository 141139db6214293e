"""Cancellation: when a client of a stateless completion leaves, its upstream is left too, at once and at whatever moment."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from chaos.client import DialectName, Question
from chaos.fleet import Settings
from chaos.ledger import Call
from chaos.measure import milliseconds, percentile
from chaos.reception import Reception
from chaos.scenario import Arena, Findings, Scenario
from chaos.script import Fault, Script
from chatfleet_contract.metrics import ACTIVE_STREAMS
from chatfleet_contract.providers import Retries
from chatfleet_contract.runtime import RuntimeTimeouts

CLIENTS = {"short": 90, "long": 2_000}
AT_ONCE = 30
STAY = (0.05, 0.6)
"""Seconds after which a client leaves: somewhere between these."""
LONG_AGO = 1.0
"""Seconds after which an upstream must have been left."""
BACK_OFF = 1.5
"""Seconds after which a retry that nobody waits for would have come."""
PATIENT = RuntimeTimeouts(connect_seconds=2, first_token_seconds=20, stall_seconds=20, total_seconds=60)


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


async def play(arena: Arena) -> Findings:
    """Leave, and look when the upstream notices."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with arena.fleet(Settings(PATIENT, Retries(max=1), server=arena.server)) as fleet:

        async def come_and_go(number: int) -> tuple[Question, Reception]:
            dialect: DialectName = "openai" if number % 3 else "openai-whole"
            model = "anthropic" if number % 2 else "openai"
            question = Question(_script(arena.key(), number), model, dialect)
            async with turn:
                stay = arena.random.uniform(*STAY)
                return question, await arena.client.ask(fleet.url, question, patience=stay)

        left = await asyncio.gather(*map(come_and_go, range(CLIENTS[arena.size])))
        await asyncio.sleep(BACK_OFF)
        found = findings(left, await arena.upstream.ledger(), looked=monotonic())
        if arena.protected:
            still_open = await fleet.pods[0].metric(ACTIVE_STREAMS)
            found.require(still_open == 0, f"{still_open:g} streams without clients were still open.")
        return found


def findings(left: Sequence[tuple[Question, Reception]], calls: dict[str, list[Call]], looked: float) -> Findings:
    """Compare when clients left with when the upstream was left, as far as it was when we `looked`. Pure."""
    found, delays = Findings(), []
    for question, reception in left:
        for call in calls.get(question.script.key, []):
            found.require(call.attempt == 0, f"{question.model} was asked again after its client had gone.")
            if call.ending == "fault":
                continue  # it had ended before its client left
            late = (call.ended or looked) - reception.ended
            delays.append(late)
            found.require(
                call.ending == "closed" and late <= LONG_AGO,
                f"{question.model} was left {late:.1f} s after its client of {question.dialect} had gone ({call.ending}).",
            )
    found.figures = {
        "clients": len(left),
        "upstream calls left": len(delays),
        "p50 ms": milliseconds(percentile(delays, 0.5)),
        "p99 ms": milliseconds(percentile(delays, 0.99)),
    }
    return found


SCENARIO = Scenario(
    "cancellation",
    f"A client that leaves a completion frees its upstream within {LONG_AGO:g} s, before headers, before tokens and in back-off too.",
    "a relay that does not watch its clients",
    play,
)
