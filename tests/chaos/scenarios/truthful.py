"""Truthful endings: whatever an upstream does, at whatever moment, no client is told that a broken answer is whole."""

from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus
from itertools import product

from chaos.client import DIALECTS, DialectName, Question
from chaos.fleet import MODELS, QUICK, Fleet, Settings
from chaos.net import LOOPBACK
from chaos.proxy import Faults, Proxy, Toxics
from chaos.scenario import Arena, Findings, Judged, Scenario
from chaos.script import Fault, FaultKind, Script
from chaos.verdict import Verdict

TOKENS = 12
AT_ONCE = 48
ROUNDS = {"short": 1, "long": 10}
MOMENTS = (0, TOKENS // 2, TOKENS)
"""Tokens that have come when the fault strikes; at the last only the word that the answer is whole is missing."""
WITHIN: tuple[FaultKind, ...] = ("reset", "cut", "end", "unreasoned", "half", "stall", "error", "garbage")
INSTEAD = (
    Fault("content_type"),
    Fault("headers"),
    Fault("status", status=401),
    Fault("status", status=429, retry_after="7"),
    Fault("status", status=500),
    Fault("status", status=529),
)
"""Faults that leave no answer at all."""
FAULTS = (*(Fault(kind, after) for kind, after in product(WITHIN, MOMENTS)), *INSTEAD)

TRUNCATED = frozenset({"upstream_truncated"})
SILENT: tuple[FaultKind, ...] = ("stall", "headers")
"""Faults that only a deadline tells: they get a fleet whose deadlines are short."""
TLS_RESET = Fault("reset")
"""Struck by a proxy, in the TLS handshake, before the upstream hears of anything."""
CODES: dict[FaultKind | int, frozenset[str]] = {
    "cut": TRUNCATED,
    "end": TRUNCATED,
    "unreasoned": TRUNCATED,
    "reset": TRUNCATED | {"upstream_unavailable"},  # before or after the headers
    "half": TRUNCATED | {"upstream_malformed"},
    "garbage": frozenset({"upstream_malformed"}),
    "content_type": frozenset({"upstream_malformed"}),
    "stall": frozenset({"upstream_timeout", "upstream_stalled"}),
    "headers": frozenset({"upstream_timeout"}),
    "error": frozenset({"upstream_error", "upstream_overloaded"}),
    401: frozenset({"upstream_authentication"}),
    429: frozenset({"upstream_rate_limited", "rate_limit_exceeded"}),
    500: frozenset({"upstream_error"}),
    529: frozenset({"upstream_overloaded"}),
}
"""The codes that tell each fault, by its kind or HTTP status."""
HONEST = frozenset({Verdict.INTERRUPTED, Verdict.REFUSED})


async def play(arena: Arena) -> Findings:
    """Ask for answers that all go wrong, and for some that do not."""
    rounds = ROUNDS[arena.size]
    silent = [fault for fault in FAULTS if fault.kind in SILENT]
    async with arena.fleet(Settings(server=arena.server)) as fleet:
        judged = await _ask(arena, [None, *(fault for fault in FAULTS if fault not in silent)] * rounds, fleet)
    async with arena.fleet(Settings(QUICK, server=arena.server)) as fleet:
        judged += await _ask(arena, silent * rounds, fleet)
    async with Proxy(arena.upstream.port) as line:
        await line.set(Faults(up=Toxics(cut_after=1)))
        origin = f"https://{LOOPBACK}:{line.port}"
        async with arena.fleet(Settings(server=arena.server, origin=origin)) as fleet:
            judged += await _ask(arena, [TLS_RESET] * rounds, fleet)
    return findings(judged)


async def _ask(arena: Arena, faults: Iterable[Fault | None], fleet: Fleet) -> list[Judged]:
    dialects: tuple[DialectName, ...] = DIALECTS if arena.protected else ("openai",)
    questions = [
        Question(Script(arena.key(), TOKENS, gap=0.001, always=fault), model, dialect)
        for fault, model, dialect in product(faults, MODELS, dialects)
    ]
    arena.random.shuffle(questions)
    return await arena.ask_all(questions, lambda: fleet.url, at_once=AT_ONCE)


def findings(judged: Iterable[Judged]) -> Findings:
    """Count what is true and what is not. Pure."""
    found = Findings()
    verdicts: Counter[Verdict] = Counter()
    for question, reception, verdict in judged:
        fault = question.script.always
        what = f"{fault} of {question.model} to a client of {question.dialect}"
        verdicts[verdict] += 1
        if fault is None:
            found.require(verdict is Verdict.COMPLETE, f"Without a fault, {what} was {verdict}.")
            continue
        found.require(verdict in HONEST, f"{what} was {verdict}: {reception.ends}.")
        told = CODES[fault.status if fault.kind == "status" else fault.kind]
        found.require(told.issuperset(reception.ends), f"{what} was told as {reception.ends}.")
        if fault.retry_after and reception.status != HTTPStatus.OK:
            found.require(reception.retry_after == fault.retry_after, f"{what} lost its Retry-After.")
    found.figures = {
        "answers": verdicts.total(),
        **{verdict.value: number for verdict, number in sorted(verdicts.items())},
    }
    return found


SCENARIO = Scenario(
    "truthful endings",
    "Every fault of an upstream, at every moment, is told to clients of every dialect, and never as success.",
    "a relay that passes tokens on and ends its streams as most do",
    play,
)
