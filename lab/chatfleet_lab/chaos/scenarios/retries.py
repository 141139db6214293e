"""Retries: what fails before its first token is tried again, in the agreed measure; what was seen is never repeated."""

from collections.abc import Sequence

from chatfleet_contract.spec.providers import Retries
from chatfleet_lab.chaos.fleet import QUICK, Settings, copy_of
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict
from harness.clients.client import STREAMED, Question
from harness.upstream.ledger import Call
from harness.upstream.script import Fault, Script

TOKENS = 10
AT_ONCE = 100
PER_COPY = 3
"""Questions for each copy of an upstream: with their retries fewer than the pods need to find that they should spare
it, and within its budget of retries; both have a scenario of their own."""
ROUNDS = {"short": 3, "long": 15}
MOST = 2
"""Retries that the fleet is set to."""
PAUSES = (1.0, 2.0)
"""Seconds before each of them, at least."""
PASSING = (
    Fault("status", status=429),
    Fault("status", status=500),
    Fault("status", status=503),
    Fault("status", status=529),
    Fault("reset"),
    Fault("cut"),
    Fault("end"),
    Fault("content_type"),
    Fault("stall"),
    Fault("error"),
    Fault("noise"),
)
"""Faults before the first token that may be gone the next time."""
PAID = Fault("garbage")
"""A fault before the first token, but after the answer began: it is paid, and likely to be there the next time."""
WAITING = Fault("status", status=429, retry_after="2")
CLOCK = 0.01
"""Seconds by which a timer may be early."""
MODELS = ("openai", "anthropic")
_UNSTARTED = (Verdict.REFUSED, Verdict.INTERRUPTED)
"""Not a token came: in OpenAI's dialect the error is then the HTTP status."""
SEEN = tuple(Fault(kind, after=TOKENS // 2) for kind in ("reset", "end", "stall", "error"))
"""Faults after tokens that a client has seen."""


async def play(trial: Trial) -> Findings:
    """Ask for answers that come at the second or third attempt, too late, or not again."""
    questions = _questions(trial)
    copies = -(-len(questions) // PER_COPY)
    settings = Settings(QUICK, Retries(max=MOST if trial.protected else 0), copies=copies)
    async with trial.fleet(settings) as fleet:
        judged = await trial.ask_all(questions, lambda: fleet.url, at_once=AT_ONCE)
    return findings(judged, await trial.upstream.ledger(question.script for question in questions))


def _questions(trial: Trial) -> list[Question]:
    scripts = [script for _ in range(ROUNDS[trial.size]) for script in _scripts(trial)]
    return [
        Question(script, copy_of(trial.random.choice(MODELS), number // PER_COPY), trial.random.choice(STREAMED))
        for number, script in enumerate(scripts)
    ]


def _scripts(trial: Trial) -> list[Script]:
    first, second = trial.random.choice(PASSING), trial.random.choice(PASSING)
    return [
        *(Script(trial.key(), TOKENS, faults=(fault,)) for fault in (*PASSING, WAITING)),
        Script(trial.key(), TOKENS, faults=(first, second)),
        Script(trial.key(), TOKENS, always=first),
        Script(trial.key(), TOKENS, faults=(PAID,)),
        *(Script(trial.key(), TOKENS, gap=0.01, faults=(fault,)) for fault in SEEN),
    ]


def findings(judged: Sequence[Judgement], calls: dict[str, list[Call]]) -> Findings:
    """Compare what clients got, and what the upstream was asked, with what was agreed. Pure."""
    found, asked = Findings(), 0
    for question, _, verdict in judged:
        script, attempts = question.script, calls[question.script.key]
        asked += len(attempts)
        expected, wanted = _agreed(script)
        faults = ", ".join(map(str, [script.always] if script.always else script.faults))
        what = f"{question.model}, {question.dialect}, {faults}"
        found.require(verdict is wanted or (verdict, wanted) == _UNSTARTED, f"{what} ended as {verdict}, not {wanted}.")
        found.require(len(attempts) == expected, f"{what} got {len(attempts)} requests, not {expected}.")
        for before, after, pause in zip(attempts, attempts[1:], _pauses(script), strict=False):
            waited = after.began - (before.ended or before.began)
            found.require(waited >= pause - CLOCK, f"{what} was retried after {waited:.2f} s, not {pause:g} s.")
    complete = sum(verdict is Verdict.COMPLETE for _, _, verdict in judged)
    found.figures = {"answers": len(judged), "complete": complete, "upstream calls": asked}
    return found


def _agreed(script: Script) -> tuple[int, Verdict]:
    """Return how often the upstream is asked, and how the answer ends."""
    if script.always:
        return MOST + 1, Verdict.INTERRUPTED
    if script.faults[0].after or script.faults[0] == PAID:
        return 1, Verdict.INTERRUPTED
    return len(script.faults) + 1, Verdict.COMPLETE


def _pauses(script: Script) -> tuple[float, ...]:
    asked_for = script.faults[0].retry_after if script.faults else None
    return PAUSES if asked_for is None else (float(asked_for),)


SCENARIO = Scenario(
    "retries",
    "A request that fails before its first token is retried, as configured; one that fails after it is not.",
    "retries.max: 0",
    play,
    hurt=("answers",),
    aim="30 scripted faults",
)
