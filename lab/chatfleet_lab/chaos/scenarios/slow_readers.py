"""Slow readers: who does not read holds neither the producer of its own answer nor anybody else."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from itertools import pairwise

from chatfleet_lab.chaos.fleet import Settings
from chatfleet_lab.chaos.measure import milliseconds, percentile
from chatfleet_lab.chaos.scenario import LOOK, Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict
from harness.clients.client import Question, open_client
from harness.polling import eventually_async
from harness.upstream.ledger import Call
from harness.upstream.script import Script

SLOW = {"short": 4, "long": 10}
LONG_ANSWER = 1_000
PADDING = "x" * 20_000
"""Makes an answer of 20 MB, more than the buffers between the two ends hold: Linux gives a connection up to 10."""
NORMAL = {"short": 20, "long": 200}
TOKENS = 60
GAP = 0.05
UNHELD = 10.0
"""Seconds in which an answer that nobody reads must have come from the upstream."""
RECEIVE_BUFFER = 4_096


async def play(trial: Trial) -> Findings:
    """Ask for long answers that nobody reads, and for others beside them."""
    scripts = [Script(f"{PADDING}{trial.key()}", LONG_ANSWER) for _ in range(SLOW[trial.size])]
    questions = [Question(Script(trial.key(), TOKENS, gap=GAP), "openai") for _ in range(NORMAL[trial.size])]
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(trial.fleet(Settings(server=trial.server)))
        slow = await stack.enter_async_context(open_client(receive_buffer=RECEIVE_BUFFER))
        readers = [asyncio.ensure_future(slow.hold(fleet.url, Question(script, "openai"))) for script in scripts]
        judged = await trial.ask_all(questions, lambda: fleet.url)
        await _come(trial, scripts)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    calls = await trial.upstream.ledger(scripts)
    return findings(judged, [call for of_one in calls.values() for call in of_one])


async def _come(trial: Trial, scripts: list[Script]) -> None:
    """Wait until all of the long answers have come from the upstream, or as long as that may take."""

    async def came() -> bool:
        calls = await trial.upstream.ledger(scripts)
        return all(call.ending != "open" for of_one in calls.values() for call in of_one)

    with suppress(TimeoutError):
        await eventually_async(came, seconds=UNHELD, every=LOOK)


def findings(judged: Iterable[Judgement], unread: Iterable[Call]) -> Findings:
    """Tell how the answers that were read came, and whether those that were not did. Pure."""
    found, gaps, seconds = Findings(), [], []
    for question, received, verdict in judged:
        found.count(verdict)
        found.require(
            verdict is Verdict.COMPLETE, f"A stream of {question.dialect} beside slow readers ended as {verdict}."
        )
        gaps += [after - before for before, after in pairwise(received.times)]
    for call in unread:
        took = (call.ended or call.began + UNHELD) - call.began
        seconds.append(took)
        found.require(
            call.ending == "whole" and took < UNHELD,
            f"An unread answer paused after {call.tokens} of {LONG_ANSWER} tokens ({call.ending}).",
        )
    found.figures |= {
        "unread answers": len(seconds),
        "read from upstream within ms": milliseconds(max(seconds)),
        "between tokens p50 ms": milliseconds(percentile(gaps, 0.5)),
        "between tokens p99 ms": milliseconds(percentile(gaps, 0.99)),
    }
    return found


SCENARIO = Scenario(
    "slow readers",
    "A client that does not read slows neither its upstream nor other streams.",
    "a relay that waits for its reader at every token",
    play,
    hurt=("unread answers",),
    targets={"read from upstream within ms": "≤ 10,000"},
    aim="500 readers at 1 B/s",
)
